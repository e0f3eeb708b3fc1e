//! How often something is tried again, and after how long.

use std::time::Duration;

use super::failure::Failure;

/// How often something is tried again, and after how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Retries after trouble: broken connections, servers that are ill.
    pub(super) trouble: u32,
    /// Retries while the server asks for fewer requests.
    pub(super) throttling: u32,
    /// The first wait, which doubles each time.
    pub(super) first: Duration,
    /// No wait is longer, even where the server asks for more.
    pub(super) longest: Duration,
}

impl Patience {
    /// Some seconds for trouble; about two minutes for throttling, which many readers bring about
    /// themselves.
    pub(super) const USUAL: Self = Self {
        trouble: 6,
        throttling: 20,
        first: Duration::from_millis(100),
        longest: Duration::from_secs(8),
    };

    /// Begins to count.
    pub(super) fn begin(self) -> Tries {
        Tries { patience: self, trouble: 0, throttling: 0 }
    }
}

/// What was tried so far.
#[derive(Debug)]
pub(super) struct Tries {
    patience: Patience,
    trouble: u32,
    throttling: u32,
}

impl Tries {
    /// How long to wait before the next try, or `None` when there is to be none.
    pub(super) fn pause(&mut self, failure: &Failure) -> Option<Duration> {
        let Patience { trouble, throttling, first, longest } = self.patience;
        let (count, most) = match failure.is_throttling() {
            true => (&mut self.throttling, throttling),
            false => (&mut self.trouble, trouble),
        };
        if !failure.may_pass() || *count >= most {
            return None;
        }
        let wait = first.saturating_mul(1 << (*count).min(16)).min(longest);
        *count += 1;
        let asked = match failure {
            Failure::Refused { retry_after: Some(asked), .. } => (*asked).min(longest),
            _ => Duration::ZERO,
        };
        // Those who were turned away together come back apart.
        Some(wait.mul_f64(0.5 + fastrand::f64() / 2.0).max(asked))
    }

    /// Forgets what was tried, since there is progress.
    pub(super) fn progressed(&mut self) {
        *self = self.patience.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, retry_after: Option<u64>) -> Failure {
        let body = format!("<Error><Code>{code}</Code></Error>");
        Failure::refused(status, &body, None, retry_after.map(Duration::from_secs))
    }

    #[test]
    fn waits_grow_and_end() {
        let mut tries = Patience::USUAL.begin();
        let ill = refused(500, "InternalError", None);
        let waits: Vec<_> = std::iter::from_fn(|| tries.pause(&ill)).collect();
        assert_eq!(waits.len(), 6);
        for (count, wait) in waits.iter().enumerate() {
            let most = Duration::from_millis(100 << count);
            assert!(*wait <= most && *wait >= most / 2, "{wait:?}");
        }
        let slow = refused(503, "SlowDown", None);
        let throttled: Vec<_> = std::iter::from_fn(|| tries.pause(&slow)).collect();
        assert_eq!(throttled.len(), 20, "trouble and throttling are counted apart");
        assert!(throttled.iter().all(|wait| *wait <= Duration::from_secs(8)));
        tries.progressed();
        assert!(tries.pause(&ill).is_some());
    }

    #[test]
    fn what_the_server_asks_for_is_waited_up_to_a_bound() {
        let pause = |failure| Patience::USUAL.begin().pause(&failure).unwrap();
        assert_eq!(pause(refused(429, "", Some(3))), Duration::from_secs(3));
        assert_eq!(pause(refused(503, "", Some(4000))), Duration::from_secs(8));
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        for status in [400, 403, 404, 301] {
            assert_eq!(Patience::USUAL.begin().pause(&refused(status, "", None)), None);
        }
    }
}
