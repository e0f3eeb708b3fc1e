//! End-to-end tests: the two programs against a real docker-registry and skopeo.

mod access; // passwords, tokens, certificates
mod findings; // broken storage
mod packing; // what a bundle is made of, and that it is always the same
mod refusals; // what cannot pass is not repeated
mod roundtrip; // the main job, with standard tools as witnesses
