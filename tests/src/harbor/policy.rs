//! Policies by which a project keeps images from being pulled, whoever asks.

use super::Project;
use crate::front::Verdict;

/// What keeps images of a project from being pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Images with vulnerabilities: those too that nobody has scanned.
    Vulnerable,
    /// Images without a signature of cosign.
    Unsigned,
}

impl Project {
    /// Why a manifest may not be pulled. Its head counts as well.
    pub(super) fn policy_refusal(&self, repository: &str, digest: &str) -> Option<Verdict> {
        let words = match self.policy? {
            Policy::Vulnerable if self.is_image(repository, digest) => {
                "current image without vulnerability scanning cannot be pulled due to configured \
                 policy in 'Prevent images with vulnerability severity of \"Low\" or higher from \
                 running.' To continue with pull, please contact your project administrator for help."
            }
            Policy::Unsigned if !self.is_signed(repository, digest) => {
                "The image is not signed in Cosign."
            }
            Policy::Vulnerable | Policy::Unsigned => return None,
        };
        Some(Verdict::error(412, "PROJECTPOLICYVIOLATION", words))
    }
}
