use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn shell(script: &str) -> PowerSwitch {
    let words = ["/bin/sh", "-c", script, "fence", "--action={action}", "{action}"];
    PowerSwitch { command: words.map(str::to_owned).to_vec() }
}

async fn ended(script: &str) -> Result<Ended, PowerError> {
    run(Some(&shell(script)), Action::Status, PATIENCE).await
}

#[tokio::test]
async fn the_action_stands_in_every_word_that_asks_for_it() {
    let ended = ended("printf '%s|' \"$@\"").await.unwrap();
    assert_eq!(ended.stdout, b"--action=status|status|");
    assert_eq!(line(&shell("exit"), Action::Off), "/bin/sh -c exit fence --action=off off");
}

#[tokio::test]
async fn it_sees_no_more_of_our_environment_than_it_needs() {
    let ended = ended("env").await.unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["LC_ALL", "PATH"]);
}

/// An exit code of 2 is how fence agents say *off*, and how they and others refuse arguments.
#[test]
fn off_is_believed_only_if_code_and_words_agree() {
    assert_eq!(read_status(Some(2), b"Status: OFF\n"), Some(Power::Off));
    assert_eq!(read_status(Some(2), b"connecting\noff\n"), Some(Power::Off));
    assert_eq!(read_status(Some(0), b"Status: ON\n"), Some(Power::On));
    let neither: [(Option<i32>, &[u8]); 8] = [
        (Some(2), b""),
        (Some(2), b"usage: fence [on|off]"),
        (Some(2), b"Status: ON"),
        (Some(0), b"Status: OFF"),
        (Some(0), b""),
        (Some(1), b"Status: OFF"),
        (Some(2), b"on\noff\n"),
        (None, b"off"),
    ];
    for (code, words) in neither {
        assert_eq!(read_status(code, words), None, "{code:?} {}", shown(words));
    }
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let script = format!("(sleep 1; : >{}) & sleep 60", mark.display());
    let began = Instant::now();
    let late = run(Some(&shell(&script)), Action::Off, Duration::from_millis(300)).await;
    assert!(matches!(late, Err(PowerError::Late { .. })), "it was not late");
    assert!(began.elapsed() < Duration::from_secs(10));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!mark.exists(), "a process that it started lives on");
}

#[tokio::test]
async fn what_it_leaves_behind_keeps_nobody_waiting() {
    let began = Instant::now();
    let ended = ended("sleep 60 & echo off; exit 2").await.unwrap();
    assert_eq!(read_status(ended.status.code(), &ended.stdout), Some(Power::Off));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_flood_of_words_is_cut() {
    let ended = ended("head -c 3000000 /dev/zero; echo bad >&2; exit 1").await.unwrap();
    assert_eq!(ended.stdout.len(), OUTPUT_MAX);
    let why = failed(Action::Off, &ended).to_string();
    assert_eq!(why, "the power fence's `off` ended with 1: bad");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_by_name() {
    let switch = PowerSwitch { command: vec!["/nonexistent/fence".to_owned()] };
    let Err(why) = run(Some(&switch), Action::Off, PATIENCE).await else { panic!("it ran") };
    assert!(why.to_string().starts_with("the power fence `/nonexistent/fence` does not start"));
}
