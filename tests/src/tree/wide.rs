//! A tree as a company's registry has it after some years: many tags in few repositories, shared
//! base layers, garbage. It is what the benchmark runs on.

use std::path::Path;

use serde_json::{Value, json};

use super::{Layer, Tree, digest_of};
use crate::content::Family;

const WORDS: [&str; 20] = [
    "api", "web", "auth", "billing", "search", "mail", "cart", "stock", "ledger", "report",
    "batch", "sync", "proxy", "queue", "worker", "edge", "portal", "vault", "media", "rule",
];

impl Tree {
    /// A tree with this many tags in this many repositories (fewer than tags).
    #[must_use]
    pub fn wide(root: &Path, seed: u64, tags: usize, repositories: usize) -> Self {
        let mut tree = Self::new(root, seed);
        let mut bases = Vec::new();
        for _ in 0..30 {
            let count = tree.random.usize(1..=3);
            let mut layers = vec![tree.layer_between(300_000, 4_000_000)];
            layers.extend((1..count).map(|_| tree.layer_between(50_000, 600_000)));
            bases.push(layers);
        }
        // Few repositories have many tags, many have few.
        let weights: Vec<f64> =
            (0..repositories).map(|_| (1.0 / (1.0 - tree.random.f64())).min(25.0)).collect();
        let total: f64 = weights.iter().sum();
        for (number, weight) in weights.iter().enumerate() {
            let share = (tags - repositories) as f64 * weight / total;
            let name = tree.repository_name(number);
            tree.fill(&name, number, 1 + share as usize, &bases);
        }
        // What rounding has left over.
        let last = format!("{}/rest", WORDS[0]);
        tree.fill(&last, 0, tags - tree.tags.len(), &bases);
        tree
    }

    fn repository_name(&mut self, number: usize) -> String {
        let mut name = format!("{}{}", WORDS[number % 20], number % 25 / 20);
        for _ in 0..self.random.usize(0..=2) {
            name += &format!("/{}", WORDS[self.random.usize(..20)]);
        }
        format!("{name}/{}-{number}", WORDS[self.random.usize(..20)])
    }

    fn layer_between(&mut self, from: usize, to: usize) -> Layer {
        let size = self.random.usize(from..to);
        self.layer(Family::Docker, size)
    }

    /// From 2 to 400 KB, small ones more often.
    fn small_layer(&mut self) -> Layer {
        let size = 2000.0 * 200_f64.powf(self.random.f64());
        self.layer(Family::Docker, size as usize)
    }

    /// One repository: images on a base that sometimes moves on, a few lists, some garbage.
    fn fill(&mut self, name: &str, number: usize, tags: usize, bases: &[Vec<Layer>]) {
        let family = if number % 3 == 1 { Family::Oci } else { Family::Docker };
        let mut base = self.random.choice(bases).cloned().unwrap_or_default();
        let mut middle = self.small_layer();
        let mut latest = None::<Value>;
        for tag in 0..tags {
            if self.random.f64() < 0.08 {
                base = self.random.choice(bases).cloned().unwrap_or_default();
                middle = self.small_layer();
            }
            let mut layers = base.clone();
            layers.push(middle.clone());
            let garbage = self.random.f64() < 0.3;
            layers.extend((0..self.random.usize(1..=3)).map(|_| self.small_layer()));
            let version = format!("{}.{}.{}", tag / 40, tag / 8 % 5, tag % 8);
            let image = match latest.take() {
                // A second name for the image before.
                Some(image) if self.random.f64() < 0.05 => image,
                _ if self.random.f64() < 0.04 => self.list(name, family, &layers),
                _ => self.image(name, family, &version, &layers),
            };
            self.tag(name, &version, digest_of(&image));
            latest = Some(image);
            if garbage {
                layers.pop();
                layers.push(self.small_layer());
                let old = self.image(name, family, "its tag has moved on", &layers);
                self.garbage.insert(digest_of(&old));
            }
        }
    }

    fn list(&mut self, name: &str, family: Family, layers: &[Layer]) -> Value {
        let mut children = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let mut layers = layers.to_vec();
            layers.push(self.layer(family, 3000));
            let mut child = self.image(name, family, architecture, &layers);
            child["platform"] = json!({"architecture": architecture, "os": "linux"});
            children.push(child);
        }
        self.index(name, family, &children)
    }
}
