//! Two ways to show progress: a bar for a terminal, lines for a log.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{
    BinaryBytes, HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle,
};
use tranship_common::Progress;

use crate::terminal::stderr_line;

/// A log gets a line at most this often.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// For so long a stage has not shown yet how fast it goes: what is asked beforehand moves no
/// bytes, and the first ones go into buffers.
const SETTLING: Duration = Duration::from_secs(10);

/// `, 3 minutes left`, or nothing as long as that would be a guess. `so_far` is how much was done
/// and how much there is to do, in bytes.
fn time_left(elapsed: Duration, so_far: (u64, u64)) -> String {
    let (done, all) = so_far;
    if elapsed < SETTLING || done == 0 || done >= all {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64() * (all - done) as f64 / done as f64;
    // Whoever waits for centuries need not know for how many.
    let left = Duration::from_secs_f64(seconds.min(1e10));
    format!(", {} left", HumanDuration(left))
}

/// A bar that redraws itself on a terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    images: AtomicU64,
    images_total: AtomicU64,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        Self { bar, images: AtomicU64::new(0), images_total: AtomicU64::new(0) }
    }

    fn show_images(&self) {
        let (done, total) =
            (self.images.load(Ordering::Relaxed), self.images_total.load(Ordering::Relaxed));
        if total > 0 {
            self.bar.set_message(format!("{} of {} images, ", HumanCount(done), HumanCount(total)));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn begin(&self, stage: &'static str, bytes: u64, images: u64) {
        let template = match bytes {
            0 => "{prefix} {spinner} {elapsed} {msg}",
            _ => {
                "{prefix} {wide_bar} {binary_bytes} of {binary_total_bytes}, {msg}{binary_bytes_per_sec}{left}"
            }
        };
        self.bar.reset();
        let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
            let so_far = (state.pos(), state.len().unwrap_or_default());
            // What is drawn is drawn again soon.
            let _ = out.write_str(&time_left(state.elapsed(), so_far));
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant");
        self.bar.set_style(style.with_key("left", left));
        self.bar.set_prefix(stage);
        self.bar.set_message("");
        self.bar.set_length(bytes);
        self.bar.enable_steady_tick(Duration::from_millis(200));
        self.images.store(0, Ordering::Relaxed);
        self.images_total.store(images, Ordering::Relaxed);
        self.show_images();
    }

    fn add_bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn take_back_bytes(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    fn add_images(&self, images: u64) {
        self.images.fetch_add(images, Ordering::Relaxed);
        self.show_images();
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| stderr_line(text));
    }
}

/// A line at intervals, for logs and files.
pub(crate) struct Lines(Mutex<Stage>);

struct Stage {
    name: &'static str,
    bytes: u64,
    bytes_total: u64,
    images: u64,
    images_total: u64,
    begun: Instant,
    last_line: Instant,
}

impl Lines {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Stage {
            name: "",
            bytes: 0,
            bytes_total: 0,
            images: 0,
            images_total: 0,
            begun: now,
            last_line: now,
        }))
    }

    fn update(&self, change: impl FnOnce(&mut Stage)) {
        // A panic elsewhere must not silence the progress: the numbers are good all the same.
        let mut stage = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut stage);
        if stage.last_line.elapsed() >= LINE_INTERVAL {
            stage.last_line = Instant::now();
            stderr_line(&stage.line());
        }
    }
}

impl Stage {
    fn line(&self) -> String {
        let elapsed = self.begun.elapsed();
        let rate = self.bytes as f64 / elapsed.as_secs_f64().max(0.001);
        let mut line = format!("{}: {}", self.name, BinaryBytes(self.bytes));
        if self.bytes_total > 0 {
            line += &format!(" of {}", BinaryBytes(self.bytes_total));
        }
        if self.images_total > 0 {
            let (done, total) = (HumanCount(self.images), HumanCount(self.images_total));
            line += &format!(", {done} of {total} images");
        }
        line += &format!(", {}/s", BinaryBytes(rate as u64));
        line + &time_left(elapsed, (self.bytes, self.bytes_total))
    }
}

impl Progress for Lines {
    fn begin(&self, stage: &'static str, bytes: u64, images: u64) {
        self.update(|state| {
            let now = Instant::now();
            let last_line = state.last_line;
            *state = Stage {
                name: stage,
                bytes: 0,
                bytes_total: bytes,
                images: 0,
                images_total: images,
                begun: now,
                last_line,
            };
        });
    }

    fn add_bytes(&self, bytes: u64) {
        self.update(|stage| stage.bytes += bytes);
    }

    fn take_back_bytes(&self, bytes: u64) {
        self.update(|stage| stage.bytes = stage.bytes.saturating_sub(bytes));
    }

    fn add_images(&self, images: u64) {
        self.update(|stage| stage.images += images);
    }

    fn say(&self, text: &str) {
        stderr_line(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_not_guessed() {
        let left = |seconds, done, all| time_left(Duration::from_secs(seconds), (done, all));
        // The first bytes after a long preparation, or before anybody knows how fast it goes.
        assert_eq!(left(3, 1, 1_000_000), "");
        assert_eq!(left(9, 500, 1000), "");
        assert_eq!(left(60, 0, 1000), "");
        assert_eq!(left(60, 250, 1000), ", 3 minutes left");
        assert_eq!(left(60, 999, 1000), ", 0 seconds left");
        // Done, or more than announced, or of a size that is not known.
        assert_eq!(left(60, 1000, 1000), "");
        assert_eq!(left(60, 2000, 1000), "");
        assert_eq!(left(60, 2000, 0), "");
        assert!(left(u64::MAX / 2, 1, u64::MAX).ends_with(" years left"));
    }
}
