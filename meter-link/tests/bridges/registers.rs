//! SunSpec devices on loopback: behind which unit they stand, what they refuse, and that nothing is ever written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use meter_link::bridge::Kind;
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use meter_link::reading::Trust;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::Told;

/// What a unit answers with: registers from 40000 on, or a refusal.
type Device = fn(unit: u8, asked: u32) -> Option<Vec<u16>>;

/// A device on a port of its own; it ends with the test. Asserts that registers are only read.
async fn device(registers: Device) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicU32::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut question = [0; 12];
                while stream.read_exact(&mut question).await.is_ok() {
                    let [t1, t0, 0, 0, 0, 6, unit, 3, a1, a0, c1, c0] = question else { panic!("not a read") };
                    let address = usize::from(u16::from_be_bytes([a1, a0]));
                    let count = usize::from(u16::from_be_bytes([c1, c0]));
                    let map = registers(unit, asked.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
                    let start = address.checked_sub(40_000);
                    let answer = match start.and_then(|start| map.get(start..start + count)) {
                        Some(found) => {
                            let data: Vec<u8> = found.iter().flat_map(|register| register.to_be_bytes()).collect();
                            let length = (data.len() + 3) as u16;
                            let [l1, l0] = length.to_be_bytes();
                            [&[t1, t0, 0, 0, l1, l0, unit, 3, data.len() as u8], &data[..]].concat()
                        }
                        None => vec![t1, t0, 0, 0, 0, 3, unit, 0x83, 2],
                    };
                    // In two portions, as a slow gateway gives them.
                    let (head, rest) = answer.split_at(5);
                    if stream.write_all(head).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                    if stream.write_all(rest).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Address::Bridge { kind: Kind::SunSpec, host: "127.0.0.1".to_owned(), port }
}

/// An inverter of one model.
fn inverter(power: u16) -> Vec<u16> {
    let mut points = [0xFFFF; 50];
    (points[12], points[13]) = (power, 0);
    (points[22], points[23], points[24]) = (0x00BC, 0x614E, 0);
    [&[0x5375, 0x6E53, 103, 50], &points[..], &[0xFFFF, 0]].concat()
}

#[tokio::test]
async fn an_inverter_is_read_again_and_again() {
    let address = device(|unit, asked| (unit == 1).then(|| inverter(if asked < 4 { 900 } else { 901 }))).await;
    let mut told = Told::start(address, None);
    let first = told.reading().await.reading;
    assert_eq!((first.protocol, first.trust), ("sunspec", Trust::Unverified));
    let power = |reading: &meter_link::reading::Reading| {
        reading.values.iter().find(|value| value.obis.to_string() == "1-0:2.7.0").map(|value| value.value.mantissa)
    };
    assert_eq!(power(&first), Some(900));
    assert_eq!(power(&told.reading().await.reading), Some(901));
}

#[tokio::test]
async fn a_device_behind_another_unit_is_found() {
    let address = device(|unit, _| (unit == 126).then(|| inverter(5))).await;
    assert_eq!(Told::start(address, None).reading().await.reading.protocol, "sunspec");
}

#[tokio::test]
async fn what_has_no_marker_is_not_recognised() {
    let address = device(|_, _| Some(vec![0; 100])).await;
    Told::start(address, None).health(|health| health.problem == Some(LinkProblem::Unrecognised)).await;
}
