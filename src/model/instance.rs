//! Which of the labs of one name a thing belongs to.

use super::LabName;
use serde::{Deserialize, Serialize};

/// A number that no other lab has, drawn when the first of a lab is about to be made. What nslab makes carries it in its
/// mark: a lab of the same name that another state directory has, or that a script made, is told from ours by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(String);

/// How many bytes of randomness.
const BYTES: usize = 8;

impl Instance {
    /// From random bytes.
    pub fn from_random(bytes: [u8; BYTES]) -> Self {
        Self(format!("{:016x}", u64::from_be_bytes(bytes)))
    }

    /// From the text of one; `None` where it can't be.
    pub fn from_text(text: &str) -> Option<Self> {
        let is_one = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self(text.to_owned()))
    }

    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose a lab's things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The lab's instance; `None` for one that is only being thought of.
    pub instance: Option<Instance>,
    /// The machine's boot: what outlives one is not the lab's any more.
    pub boot: String,
}

/// The mark of something of a lab: `nslab:LAB/WHAT@INSTANCE`.
pub fn mark(lab: &LabName, what: &str, instance: Option<&Instance>) -> String {
    match instance {
        Some(Instance(number)) => format!("nslab:{lab}/{what}@{number}"),
        None => format!("nslab:{lab}/{what}"),
    }
}

/// The lab that a mark is of.
pub fn lab_of_mark(mark: &str) -> Option<&str> {
    mark.strip_prefix("nslab:")?.split('/').next()
}

/// The instance that a mark is of; a script's has none.
pub fn instance_of_mark(mark: &str) -> Option<Instance> {
    Instance::from_text(mark.strip_prefix("nslab:")?.rsplit_once('@')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_say_whose_a_thing_is() {
        let instance = Instance::from_random([0, 1, 2, 3, 4, 5, 6, 255]);
        assert_eq!(Instance::from_text(instance.as_str()).as_ref(), Some(&instance));
        assert_eq!(Instance::from_text("xyz"), None);
        let lab = "two-node".parse().unwrap();
        let mark = mark(&lab, "net1", Some(&instance));
        assert_eq!(mark, "nslab:two-node/net1@00010203040506ff");
        assert_eq!(lab_of_mark(&mark), Some("two-node"));
        assert_eq!(instance_of_mark(&mark), Some(instance));
        assert_eq!(instance_of_mark("nslab:two-node/net1"), None);
        assert_eq!(lab_of_mark("somebody's"), None);
    }
}
