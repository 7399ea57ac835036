//! Hildebrand Glow at a broker that speaks just enough MQTT 3.1.1.

use meter_link::bridge::{Kind, Secret};
use meter_link::health::LinkProblem;
use meter_link::link::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::server::Told;

/// A broker that publishes the state of the display and then a reading to whoever it lets in.
async fn broker(refuses: bool) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = serve(stream, refuses).await;
        }
    });
    Address::Bridge { kind: Kind::Glow, host: "127.0.0.1".to_owned(), port }
}

async fn serve(mut stream: TcpStream, refuses: bool) -> std::io::Result<()> {
    let connect = packet(&mut stream).await?;
    assert_eq!(connect[..6], [0, 4, b'M', b'Q', b'T', b'T']);
    // CONNACK: accepted, or not authorised.
    stream.write_all(&[0x20, 2, 0, if refuses { 5 } else { 0 }]).await?;
    let subscribe = packet(&mut stream).await?;
    stream.write_all(&[0x90, 3, subscribe[0], subscribe[1], 0]).await?;
    publish(&mut stream, "glow/MADEUP/SENSOR/other", b"{}").await?;
    let reading = include_str!("../../captures/bridge/glow_electricity.json").trim();
    // What the broker kept of days ago comes first, and again; then the display speaks.
    for reading in [reading, reading, &reading.replace("03:00:10Z", "03:00:20Z").replace("-0.351", "-0.352")] {
        publish(&mut stream, "glow/MADEUP/SENSOR/electricitymeter", reading.as_bytes()).await?;
    }
    packet(&mut stream).await.map(|_| ())
}

/// The rest of one packet; none here is longer than 127 bytes.
async fn packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).await?;
    Ok(rest)
}

async fn publish(stream: &mut TcpStream, topic: &str, payload: &[u8]) -> std::io::Result<()> {
    let length = 2 + topic.len() + payload.len();
    let mut packet = vec![0x30, (length % 128) as u8 | 0x80, (length / 128) as u8];
    packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(payload);
    stream.write_all(&packet).await
}

#[tokio::test]
async fn what_the_display_publishes_about_a_meter_is_read() {
    let mut told = Told::start(broker(false).await, None);
    let reading = told.reading().await.reading;
    assert_eq!((reading.protocol, reading.values.len()), ("glow", 3));
    assert_eq!(reading.values[2].value.to_string(), "-352", "U1: what is old is not shown as now");
}

#[tokio::test]
async fn a_broker_that_wants_another_password_says_so() {
    let mut told = Told::start(broker(true).await, Some(Secret("made:up".to_owned())));
    told.health(|health| health.problem == Some(LinkProblem::PairingNeeded)).await;
}
