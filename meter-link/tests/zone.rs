//! The host's time zone changes no reading: the same captures are read by this program started again in other zones.

use std::path::Path;
use std::process::Command;

use meter_link::decoder::Decoder;

/// Says to a program started by the test that it is one.
const MARK: &str = "WATTLE_TEST_OF_ZONES";

/// Everything that the captures say, one line for each reading.
fn readings() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/p1");
    let files = std::fs::read_dir(folder).expect("the captures are part of the crate").flatten();
    let mut captures: Vec<_> =
        files.map(|entry| entry.path()).filter(|path| path.extension() == Some("txt".as_ref())).collect();
    captures.sort();
    let mut lines = Vec::new();
    for capture in captures {
        let bytes = std::fs::read(capture).expect("a readable file");
        let mut decoder = Decoder::new(&[], &[]).showing_damaged();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[decoder.handle_bytes(rest)..];
            lines.extend(std::iter::from_fn(|| decoder.poll_reading()).map(|result| format!("{result:?}")));
        }
        decoder.handle_end();
        lines.extend(std::iter::from_fn(|| decoder.poll_reading()).map(|result| format!("{result:?}")));
    }
    lines
}

#[test]
#[expect(clippy::print_stdout, reason = "the program that started this one reads it")]
fn t9_the_hosts_zone_changes_no_reading() {
    let here = readings();
    if std::env::var_os(MARK).is_some() {
        return here.iter().for_each(|line| println!("read {line}"));
    }
    assert!(here.iter().filter(|line| line.contains("meter_time: Some")).count() > 10, "stamps are compared");
    let program = std::env::current_exe().expect("this program");
    for zone in ["UTC", "Europe/Amsterdam", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati"] {
        let mut again = Command::new(&program);
        again.args(["--exact", "t9_the_hosts_zone_changes_no_reading", "--nocapture"]);
        let output = again.env(MARK, "1").env("TZ", zone).output().expect("it starts again");
        let text = String::from_utf8_lossy(&output.stdout);
        let there: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once("read ")?.1)).collect();
        assert_eq!(there, here, "{zone}");
    }
}
