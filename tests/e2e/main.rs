//! End-to-end tests: the two programs against a real docker-registry and skopeo.

mod refusals; // what cannot pass is not repeated
mod roundtrip; // the main job, with standard tools as witnesses
