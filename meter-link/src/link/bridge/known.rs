//! Certificates whose private keys are published: examples of development kits and test suites that people copied.
//!
//! Whoever holds one can be anybody who has read the same page, so none is accepted, of a meter or of us. A fingerprint is
//! kept as far as its LFDI, which is all that was published of some.
//!
//! Sources, each looked at: seanauff/metermon issue 31 (the example of Xcel's development kit, posted in a forum and
//! registered by many); epri-dev/IEEE-2030.5-Client, `sat-cli_dev_57099-00-0-0_4082013001431.pem` with its key beside it;
//! GRIDAPPSD/ieee-2030_5-server-go, `testdata/csip-pki/testdevice` and `…/enphase`; Exntpf/IEEE2030.5_server_rust,
//! `certs/client_cert.pem`; IEEE 2030.5-2018 section 6.3.2, the example in the standard itself.

/// First 20 bytes of the SHA-256 of each certificate.
const PUBLISHED: [[u8; 20]; 6] = [
    // Xcel's development kit.
    lfdi("58F371CB4CF0FC393B459559576904D1F7E338EE"),
    // EPRI's test client.
    lfdi("C0C96EA0C0697DAA883402BDF2B475EE0CE5920B"),
    // Test devices of GridAPPS-D's server.
    lfdi("93E795AE91F5F493813E3B39C8BC49F06FCA6258"),
    lfdi("9711948EBF52B988A39728F756AEAA763EFF5540"),
    // The client of a server in Rust.
    lfdi("3EDB2B0E590E9B15A62EE908535735FD6BF8659C"),
    // The standard's worked example.
    lfdi("3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"),
];

/// Whether a certificate of this SHA-256 is one of them.
pub(super) fn is_published(fingerprint: &[u8; 32]) -> bool {
    PUBLISHED.iter().any(|known| fingerprint.starts_with(known))
}

/// 40 hexadecimal digits as bytes.
const fn lfdi(digits: &str) -> [u8; 20] {
    let digits = digits.as_bytes();
    assert!(digits.len() == 40, "an LFDI has 40 digits");
    let mut bytes = [0; 20];
    let mut at = 0;
    while at < 20 {
        bytes[at] = digit(digits[2 * at]) << 4 | digit(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn digit(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character - b'0',
        b'A'..=b'F' => character - b'A' + 10,
        _ => panic!("a hexadecimal digit in capitals"),
    }
}
