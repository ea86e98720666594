//! How the process ends: the one list of exit codes.

use std::process::ExitCode;

/// Every exit code, with its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done; for `status`: every pair shown is protected.
    Ok = 0,
    /// Something unexpected; the message says what.
    Unexpected = 1,
    /// The command line cannot be read.
    Usage = 2,
    /// `status`: a pair is not protected.
    Unprotected = 3,
    /// The order was understood and refused; the message names the reason and the fix.
    Refused = 4,
    /// The plan was opened and taken back: the pair is as it was.
    Undone = 5,
    /// The daemon does not answer.
    Unreachable = 6,
    /// The configuration is not valid.
    ConfigInvalid = 7,
    /// A plan is left open: `run` stopped and the next start takes it up, or a verb was left with
    /// Ctrl-C and the daemon goes on.
    PlanLeftOpen = 8,
    /// `run`: another daemon uses the same state directory or socket.
    AlreadyRunning = 9,
    /// The confirmation was not given; nothing was ordered.
    NotConfirmed = 10,
    /// `validate`: the pair is not ready.
    NotReady = 11,
    /// `fence test`: the power fence could not be used for a host.
    FenceFails = 12,
    /// `proxy lint`: an error was found.
    FileFaulty = 13,
    /// `proxy`: not every proxy was changed; the message names which, and how to repair that.
    PartlyChanged = 14,
    /// `parity`: an item is not alike on all hosts, or could not be compared.
    NotAlike = 15,
    /// `upgrade`: it stopped, with the pair serving; the message says how to go on or back.
    UpgradeStopped = 16,
    /// `files`: a copy is older than its limit, its last pass left something behind, or it is not
    /// whole.
    FilesBehind = 17,
    /// `drain`: its limit is over and it is not known that nobody is left; `undrain`: users are not
    /// sent there yet.
    NotSettled = 18,
}

/// The list, as it stands in `--help` and the manual page.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  done; for `status`: every pair shown is protected
   1  something unexpected; the message says what
   2  the command line cannot be read
   3  `status`: a pair is not protected
   4  the order was refused; the message names the reason and the fix
   5  the plan was opened and taken back: the pair is as it was
   6  the daemon does not answer
   7  the configuration is not valid
   8  a plan is left open: `run` stopped and the next start takes it up, or a verb was left
      with Ctrl-C and the daemon goes on
   9  `run`: another daemon uses the same state directory or socket
  10  the confirmation was not given; nothing was ordered
  11  `validate`: the pair is not ready
  12  `fence test`: the power fence could not be used for a host
  13  `proxy lint`: an error was found in a file
  14  `proxy`: not every proxy was changed; the message names which, and how to repair that
  15  `parity`: an item is not alike on all hosts, or could not be compared
  16  `upgrade`: it stopped, with the pair serving; the message says how to go on or back
  17  `files`: a copy is older than its limit, its last pass left something behind, or it is
      not whole
  18  `drain`: its limit is over and it is not known that nobody is left; `undrain`: users
      are not sent there yet";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
