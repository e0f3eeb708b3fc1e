use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{four_images, hasty, impatient, uploads};
use e2e::content::Family;
use e2e::front::{Answer, Judge};
use e2e::programs::{Run, load};
use e2e::tree::{damage, digest_of};
use e2e::{Bundle, Front, Registry, Request, Tree, Verdict};

/// Counts sessions as they are opened, finished and given back: the registry enters them into its
/// log when they are over, and that may be later than the end of the load.
#[derive(Default)]
struct Sessions {
    opened: AtomicUsize,
    finished: AtomicUsize,
    given_back: AtomicUsize,
}

struct Counting<F>(Arc<Sessions>, F);

impl<F: Fn(&mut Request) -> Verdict + Send + Sync + 'static> Judge for Counting<F> {
    fn judge(&self, request: &mut Request) -> Verdict {
        // Distribution takes no session back that has more bytes than it knows of.
        if request.method == "DELETE" {
            self.0.given_back.fetch_add(1, Ordering::SeqCst);
        }
        (self.1)(request)
    }

    fn answered(&self, request: &Request, answer: &mut Answer) {
        let count = match (request.method.as_str(), answer.status.as_u16()) {
            ("POST", 202) => &self.0.opened,
            ("PUT", 201) if request.target.contains("/uploads/") => &self.0.finished,
            _ => return,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// A front that counts sessions.
fn counting(
    target: &Registry,
    judge: impl Fn(&mut Request) -> Verdict + Send + Sync + 'static,
) -> (Front, Arc<Sessions>) {
    let sessions = Arc::new(Sessions::default());
    let judge = Counting(Arc::clone(&sessions), judge);
    (Front::with(target.address(), Arc::new(judge), None), sessions)
}

impl Sessions {
    /// Each that was opened was either finished or given back.
    #[track_caller]
    fn assert_none_left(&self) {
        let [opened, finished, given_back] = [&self.opened, &self.finished, &self.given_back]
            .map(|count| count.load(Ordering::SeqCst));
        assert!(opened > 0);
        assert_eq!(opened, finished + given_back);
    }
}

#[test]
fn no_session_of_a_failed_upload_stays_open() {
    let bundle = four_images();
    let blob = bundle.tree.last_layer("base:1");
    for status in [400, 403, 404, 409, 413, 500, 504] {
        let target = Registry::start();
        let (front, sessions) = counting(&target, move |request| match uploads(request, &blob) {
            true => Verdict::status(status),
            false => Verdict::Forward,
        });
        let lost = impatient(&bundle.path(), &front.url()).run().expect(3);
        assert!(lost.stdout.contains(" failed") && !lost.stdout.contains(" 0 failed"), "{status}");
        sessions.assert_none_left();
        assert_eq!(target.open_sessions(), 0, "{status}");
    }
}

#[test]
fn no_session_of_a_broken_upload_stays_open() {
    let bundle = four_images();
    let target = Registry::start();
    let cuts = AtomicUsize::new(0);
    let (front, sessions) = counting(&target, move |request| {
        let is_upload = request.method == "PUT" && request.target.contains("/uploads/");
        match is_upload && cuts.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            true => Verdict::CutUp(1),
            false => Verdict::Forward,
        }
    });
    hasty(&bundle.path(), &front.url()).run().ok();
    sessions.assert_none_left();
}

#[test]
fn no_session_stays_open_when_our_own_bytes_are_damaged() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 243);
        for (name, size) in [("team/small", 2000), ("team/large", 3_000_000)] {
            let layer = tree.layer(Family::Oci, size);
            let image = tree.image(name, Family::Oci, name, &[layer]);
            tree.tag(name, "1", digest_of(&image));
        }
        tree.simple("team/good", "1");
        tree
    });
    let mut archive = tar::Archive::new(std::fs::File::open(bundle.path()).unwrap());
    let layers = ["team/small:1", "team/large:1"].map(|name| bundle.tree.last_layer(name));
    let places: Vec<usize> = archive
        .entries()
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| {
            let path = entry.path().unwrap().display().to_string();
            layers.iter().any(|layer| path.ends_with(&layer.hex()))
        })
        .map(|entry| entry.raw_file_position() as usize + 100)
        .collect();
    assert_eq!(places.len(), 2);
    places.iter().for_each(|at| damage(&bundle.path(), *at));
    for through_a_pipe in [false, true] {
        let target = Registry::start();
        let (front, sessions) = counting(&target, |_| Verdict::Forward);
        let mut command = load(&bundle.path(), &front.url());
        if through_a_pipe {
            command = e2e::loader();
            command.args(["load", "-", "--to", &front.url()]);
            command.stdin(std::fs::File::open(bundle.path()).unwrap());
        }
        let loaded = command.run().expect(3);
        let _ = loaded.prints("1 image loaded, 0 already there, 2 failed");
        sessions.assert_none_left();
    }
}

#[test]
fn no_session_stays_open_when_the_question_behind_a_mount_fails() {
    // The registry mounts nothing, and does not tell what it has.
    let bundle = super::of_one_base(6);
    let target = Registry::start();
    let (front, sessions) = counting(&target, |request| {
        if request.method == "HEAD" && request.target.contains("/blobs/") {
            return Verdict::CutUp(0);
        }
        if request.method == "POST" {
            request.target = request.target.split('?').next().unwrap_or_default().to_owned();
        }
        Verdict::Forward
    });
    hasty(&bundle.path(), &front.url()).run().ok().prints("6 images loaded");
    sessions.assert_none_left();
    assert_eq!(target.open_sessions(), 0);
}

#[test]
fn a_registry_whose_disk_is_full_is_named_as_such() {
    let bundle = Bundle::simple();
    // Distribution's two ways to say it; the long name would end the words before their end.
    let folder = format!("/storage/{}", "long/".repeat(80));
    let in_words = format!("write {folder}data: no space left on device");
    let number = serde_json::json!({
        "DriverName": "filesystem",
        "Enclosed": {"Op": "write", "Path": format!("{folder}startedat"), "Err": 28},
    });
    for (method, detail) in [("PUT", in_words.into()), ("POST", number)] {
        let target = Registry::start();
        let front = Front::start(target.address(), move |request| {
            let error = serde_json::json!({"errors": [
                {"code": "UNKNOWN", "message": "unknown error", "detail": detail}
            ]});
            match request.method == method && request.target.contains("/uploads/") {
                true => Verdict::json(500, &error),
                false => Verdict::Forward,
            }
        });
        impatient(&bundle.path(), &front.url())
            .run()
            .expect(1)
            .says("failed: team/image:1")
            .says("the registry's disk is full: make room there, then run the same command again");
        assert_eq!(target.open_sessions(), 0);
    }
}
