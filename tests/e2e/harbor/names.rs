//! Names of projects and repositories.

use std::fs;

use e2e::programs::Run;
use e2e::{Bundle, Harbor, Tree, skopeo};

use super::{command, loading};

#[test]
fn names_that_harbor_refuses_are_found_before_anything_is_sent() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 83);
        for repository in ["a__b/x", "c--d/y", "fine/z"] {
            tree.simple(repository, "1");
        }
        tree
    });
    let harbor = Harbor::start();
    loading(&bundle, &harbor)
        .run()
        .expect(1)
        .says("--map 'a__b/*=a_b/*'")
        .says("--map 'c--d/*=c-d/*'")
        .says("2 names cannot be used");
    assert!(harbor.requests().iter().all(|request| request.method == "GET"));

    let rules = bundle.file("rules");
    let text = "# as suggested\na__b/*=a_b/*\n\n  c--d/* = c-d/* # and this\nfinne/*=x/*\n";
    fs::write(&rules, text).unwrap();
    let with_rules = |name: &str| {
        let mut command = command(name, &bundle, &harbor);
        command.arg("--map-file").arg(&rules);
        command
    };
    let loaded = with_rules("load").run().ok().prints("3 images loaded");
    let _ = loaded.says("the rule `finne/*=x/*` fits no repository");
    with_rules("check").run().ok();
    assert!(skopeo::tag_digest(&harbor.registry.address(), "a_b/x:1").is_some());

    let mut prefixed = command("load", &bundle, &harbor);
    prefixed
        .args(["--prefix", "old", "--map", "fine/*=new/*"])
        .run()
        .ok()
        .prints("3 images loaded");
    let projects: Vec<String> = harbor.state().projects.keys().cloned().collect();
    assert_eq!(projects, ["a_b", "c-d", "fine", "library", "new", "old"]);
    fs::write(&rules, "a__b/*=a_b/*\nnonsense\n").unwrap();
    with_rules("load").run().expect(1).says("line 2").says("`nonsense` is no rule");
}

#[test]
fn a_project_whose_name_is_a_number() {
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 101);
        tree.simple("7/image", "1");
        tree
    });
    let harbor = Harbor::start();
    let planned = command("plan", &bundle, &harbor).run().ok();
    let _ = planned.prints("7 (the project will be made)");
    loading(&bundle, &harbor).run().ok().prints("1 image loaded");
    // Harbor would take it for the seventh project, which does not exist.
    let checked = command("check", &bundle, &harbor).run().ok().prints("1 tag checked, all in");
    assert!(!checked.stderr.contains("not checked"), "{}", checked.stderr);
}

#[test]
fn names_of_every_length() {
    let project = "p".repeat(200);
    let fits = format!("{project}/{}", "r".repeat(44));
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 102);
        tree.simple(&fits, "1");
        tree.simple("team/image", &"t".repeat(128));
        tree.simple("team/image", "_under");
        tree
    });
    let harbor = Harbor::start();
    loading(&bundle, &harbor).run().ok().prints("3 images loaded");
    command("check", &bundle, &harbor).run().ok();
    // One more character, and Harbor fails with an empty answer.
    let refused = loading(&bundle, &harbor).args(["--map", &format!("{fits}={fits}x")]).run();
    let _ = refused.expect(1).says("246 characters").says("1 name cannot be used");
}

#[test]
fn parts_of_names_that_harbor_takes_for_its_own_words() {
    let names = ["p/blobs/x", "p/x/manifests", "p/tags", "p/a/referrers/b", "blobs/x"];
    let bundle = Bundle::of(|root| {
        let mut tree = Tree::new(root, 164);
        for name in names {
            tree.simple(name, "1");
        }
        tree
    });
    let harbor = Harbor::start();
    let rules = [
        "p/blobs/x=p/blobs-images/x",
        "p/x/manifests=p/x/manifests-images",
        "p/tags=p/tags-images",
        "p/a/referrers/b=p/a/referrers-images/b",
    ];
    for name in ["plan", "load"] {
        let refused =
            command(name, &bundle, &harbor).run().expect(1).says("4 names cannot be used");
        for rule in rules {
            assert!(refused.stderr.contains(&format!("--map '{rule}'")), "{}", refused.stderr);
        }
    }
    let with_rules = |name: &str| {
        let mut command = command(name, &bundle, &harbor);
        command.args(rules.iter().flat_map(|rule| ["--map", rule]));
        command
    };
    with_rules("load").run().ok().prints("5 images loaded");
    with_rules("check").run().ok().prints("5 tags checked, all in");
    // Other registries know where a name ends.
    let plain = e2e::Registry::start();
    e2e::programs::load(&bundle.path(), &plain.url()).run().ok().prints("5 images loaded");
    for name in names {
        assert!(skopeo::tag_digest(&plain.address(), &format!("{name}:1")).is_some(), "{name}");
    }
}
