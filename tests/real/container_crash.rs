//! As `crash` and `failure`, for labs with nodes that are containers.

use crate::crash::{
    changing_up_killed_anywhere_then_down, changing_up_killed_anywhere_then_up, down_killed_anywhere_then_down,
    putting_back_killed_anywhere_then_up_or_down, up_killed_anywhere_then_down, up_killed_anywhere_then_up,
};
use crate::failure::{
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on,
    changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing,
};
use crate::support::walk::walks;

walks!(
    contained,
    |host| WalkedLab::contained(host),
    up_killed_anywhere_then_down,
    up_killed_anywhere_then_up,
    changing_up_killed_anywhere_then_down,
    changing_up_killed_anywhere_then_up,
    down_killed_anywhere_then_down,
    putting_back_killed_anywhere_then_up_or_down,
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_down_that_fails_anywhere_says_what_is_left_and_the_next_goes_on
);
