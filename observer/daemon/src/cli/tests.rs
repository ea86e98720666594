//! What can be typed.

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Typed::command().debug_assert();
}
