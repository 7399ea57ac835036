//! Network meters and bridges as a link: asks at the device's pace, or waits for what it pushes, and hands on whole bodies.
//!
//! Knows how a device is spoken to, not what its bodies mean. Every body is bounded by [`crate::bridge::MAX_BODY`], every
//! wait for an answer by [`web::ANSWER`]. Never opens itself again: after a problem the task decides when.

pub mod ccm8;
mod der;
pub mod eagle;
pub mod homewizard2;
mod known;
pub mod pin;
mod polled;
mod published;
mod registers;
pub mod sep2;
mod web;

use super::Address;
use crate::bridge::{Kind, Secret};
use crate::health::LinkProblem;

/// An open bridge.
#[derive(Debug)]
pub struct BridgeLink(Way);

/// How bodies come.
#[derive(Debug)]
enum Way {
    /// Asked for its meter, with the numbers of its label.
    Labelled(Box<eagle::Eagle>),
    /// Asked for its readings, by whom it knows.
    Metered(Box<sep2::Metered>),
    /// Asked again and again.
    Polled(polled::Polled),
    /// Published to a broker.
    Published(Box<published::Published>),
    /// Pushed over a web socket, from the paired device.
    Pushed(Box<homewizard2::Pushed>),
    /// Read out of a device's registers.
    Registers(Box<registers::Registers>),
}

impl BridgeLink {
    /// Reaches the device and finds out what it offers. The error says whether and why a person is needed.
    pub async fn open(address: &Address, secret: Option<&Secret>) -> Result<Self, LinkProblem> {
        let Address::Bridge { kind, host, port } = address else { return Err(LinkProblem::NotFound) };
        Ok(Self(match kind {
            Kind::Eagle => Way::Labelled(Box::new(eagle::Eagle::open(host, *port, secret).await?)),
            Kind::Glow => Way::Published(Box::new(published::Published::open(host, *port, secret).await?)),
            Kind::HomeWizard2 => Way::Pushed(Box::new(homewizard2::Pushed::open(host, *port, secret).await?)),
            Kind::HomeWizard | Kind::Shelly | Kind::Tasmota => {
                Way::Polled(polled::Polled::open(*kind, host, *port).await?)
            }
            Kind::Sep2 => Way::Metered(Box::new(sep2::Metered::open(host, *port, secret).await?)),
            Kind::SunSpec => Way::Registers(Box::new(registers::Registers::open(host, *port).await?)),
        }))
    }

    /// Waits for the next body. After an error the link is spent.
    pub async fn next(&mut self) -> Result<Vec<u8>, LinkProblem> {
        match &mut self.0 {
            Way::Labelled(eagle) => eagle.next().await,
            Way::Metered(metered) => metered.next().await,
            Way::Polled(polled) => polled.next().await,
            Way::Published(published) => published.next().await,
            Way::Pushed(pushed) => pushed.next().await,
            Way::Registers(registers) => registers.next().await,
        }
    }

    /// Whether what comes is known to come, unchanged, from the device that was paired.
    pub const fn is_pinned(&self) -> bool {
        match &self.0 {
            Way::Labelled(eagle) => eagle.is_pinned(),
            Way::Polled(_) | Way::Published(_) | Way::Registers(_) => false,
            Way::Metered(_) | Way::Pushed(_) => true,
        }
    }
}
