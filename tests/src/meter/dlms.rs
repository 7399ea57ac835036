//! DLMS/COSEM data notifications as makers push them: a list of values, wrapped, encrypted, and put into frames.
//!
//! [`axdr`] the encoding · [`lists`] what each maker says and in which order · [`frames`] HDLC, M-Bus, block transfer.

pub(super) mod axdr;
pub(super) mod frames;
mod lists;

use super::values::Values;
use super::{Meter, Version, cipher};
use frames::Hdlc;

/// Norwegian and Swedish makers, and those by Landis+Gyr and Iskraemeco, each have addresses of their own.
const AIDON: Hdlc = Hdlc { destination: &[0x41], source: &[0x08, 0x83], control: 0x13 };
const ISKRA: Hdlc = Hdlc { destination: &[0xCF], source: &[0x02, 0x23], control: 0x13 };
const KAIFA: Hdlc = Hdlc { destination: &[0x01], source: &[0x00, 0x01], control: 0x10 };
const KAMSTRUP: Hdlc = Hdlc { destination: &[0x2B], source: &[0x21], control: 0x13 };
const LANDIS_GYR: Hdlc = Hdlc { destination: &[0xCE, 0xFF], source: &[0x03], control: 0x13 };

/// All frames of one push.
pub(super) fn push(meter: &Meter, values: &Values, counter: u32) -> Vec<u8> {
    let mut message = lists::notification(meter.version, values, counter);
    let plain_from = message.len().min(6);
    match meter.ciphering(&values.quirks) {
        Some(how) => {
            message = cipher::seal(&meter.keys, how, cipher::title(&values.equipment), counter, &message, false);
            // Behind the title, the length and the counter: only the tag can tell.
            let from = message.len().min(24);
            flip(&mut message[from..], values.quirks.flip);
        }
        None => flip(&mut message[plain_from..], values.quirks.flip),
    }
    match meter.version {
        Version::AidonNo | Version::AidonSe | Version::DedCiphering | Version::GloSuite1 => AIDON.whole(&message),
        Version::IskraAt | Version::IskraSi => ISKRA.whole(&message),
        Version::KaifaNo | Version::KaifaSe => KAIFA.whole(&message),
        Version::KamstrupDk | Version::KamstrupNo | Version::KamstrupSe => KAMSTRUP.whole(&message),
        Version::LgE360Ch => LANDIS_GYR.segmented(&message, 120),
        Version::LgE450ChGbt => LANDIS_GYR.blocks(&message, 112),
        // The length byte of the first frame says 1 and means 257.
        Version::SagemcomAt => frames::mbus(&message, 252),
        Version::KaifaAt | Version::KaifaCh256 => frames::mbus(&message, 245),
        _ => LANDIS_GYR.whole(&message),
    }
}

/// Flips one bit.
pub(super) fn flip(bytes: &mut [u8], random: Option<u64>) {
    if let Some(random) = random
        && !bytes.is_empty()
    {
        let place = (random >> 3) as usize % bytes.len();
        bytes[place] ^= 1 << (random & 7);
    }
}
