//! The macros record what ran: this test starts itself again with a folder to record in.

use std::process::Command;

use demijohn_covers::{FOLDER, covers, service, skip};

const TEST: &str = "the_macros_record_the_row_and_the_test";
/// Tells the started copy of the test from the one that starts it.
const STARTED: &str = "DEMIJOHN_COVERS_STARTED";

#[test]
fn the_macros_record_the_row_and_the_test() {
    if std::env::var_os(STARTED).is_some() {
        covers!("example.first", "example.second");
        return skip!("{} data", "no");
    }
    let folder = std::env::temp_dir().join(format!("demijohn-covers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in the temporary folder");
    let output = Command::new(std::env::current_exe().expect("the test knows its file"))
        .args(["--exact", TEST])
        .env(STARTED, "1")
        .env(FOLDER, &folder)
        .env("NEXTEST", "1")
        .env("NEXTEST_BINARY_ID", "demijohn-covers::record")
        .env_remove("NEXTEST_TEST_NAME")
        .output()
        .expect("the test starts itself");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut records = String::new();
    for entry in std::fs::read_dir(&folder).expect("the folder is there") {
        records += &std::fs::read_to_string(entry.expect("an entry").path()).expect("a file of text");
    }
    std::fs::remove_dir_all(&folder).expect("the folder can go");
    let expected = ["covers\texample.first", "covers\texample.second", "skip\tno data"]
        .map(|start| format!("{start}\tdemijohn-covers::record\t{TEST}\n"));
    assert_eq!(records, expected.concat());
}

#[test]
#[should_panic(expected = "`cargo xtask test` starts it and sets TEST_NO_SUCH_SERVICE")]
fn a_missing_service_is_no_pass() {
    service("TEST_NO_SUCH_SERVICE");
}
