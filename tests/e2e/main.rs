//! End-to-end tests: the two programs against a real docker-registry and skopeo.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod access; // passwords, tokens, certificates
mod archives; // storage in tar files, near and through a pipe
mod buckets; // storage in S3, near and far
mod damage; // damaged bundles
mod disk; // a full disk
mod double; // the doubles of Harbor and of other registries, which other tests rest on
mod findings; // broken storage
mod harbor; // Harbor as the target
mod house; // the rules of the workspace, and what --help teaches
mod interruptions; // kill -9 and Ctrl-C, then again
mod kernels; // system calls that old kernels lack
mod network; // cuts, stalls and strange answers
mod odd; // what registries leave behind, judged by one of them
mod order; // what arrives first, and with how few requests
mod outputs; // reports, and files that are half written
mod packing; // what a bundle is made of, and that it is always the same
mod pictures; // what a storage holds, to choose by
mod pipes; // what is kept of bundles that pass by
mod proxies; // a real nginx before the target
mod quirks; // registries that answer otherwise than one would think
mod referrers; // what is about an image and has no tag
mod refusals; // what cannot pass is not repeated
mod release; // programs for old hosts, and that they run there
mod roundtrip; // the main job, with standard tools as witnesses
mod running; // a registry that changes while it is read
mod schema1; // Docker images of schema 1
mod selection; // which images are packed
mod uploads; // what is sent, how often, and in which order
