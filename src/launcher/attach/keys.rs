//! The keys by which somebody leaves a container that he has joined: Ctrl-P, Ctrl-Q, as Docker has it.

const CTRL_P: u8 = 0x10;
const CTRL_Q: u8 = 0x11;

/// What was typed so far.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Whether the last one was Ctrl-P, which is kept back until the next one comes.
    is_leaving: bool,
}

impl Keys {
    /// What of this goes to the container, and whether whoever typed it leaves then.
    pub(super) fn typed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(bytes.len() + 1);
        for byte in bytes {
            match (std::mem::take(&mut self.is_leaving), *byte) {
                (true, CTRL_Q) => return (passed, true),
                (was_leaving, byte) => {
                    if was_leaving {
                        passed.push(CTRL_P);
                    }
                    self.is_leaving = byte == CTRL_P;
                    if !self.is_leaving {
                        passed.push(byte);
                    }
                }
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_p_ctrl_q_leaves_wherever_it_is_divided() {
        let mut keys = Keys::default();
        assert_eq!(keys.typed(b"ls\n\x10"), (b"ls\n".to_vec(), false));
        assert_eq!(keys.typed(b"\x11rest"), (Vec::new(), true));
        assert_eq!(Keys::default().typed(b"a\x10\x11b"), (b"a".to_vec(), true));
    }

    #[test]
    fn what_does_not_leave_is_passed_on() {
        let mut keys = Keys::default();
        assert_eq!(keys.typed(b"\x11\x10"), (b"\x11".to_vec(), false));
        assert_eq!(keys.typed(b"\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.typed(b"x"), (b"\x10x".to_vec(), false));
    }
}
