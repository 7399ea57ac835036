//! Linky's télé-information client (Enedis-NOI-CPT_54E), both modes. Bytes of seven bits, without parity.

use super::values::Values;
use super::{Meter, Version, checksum};

const START: u8 = 0x02;
const END: u8 = 0x03;

/// One frame from start to end.
pub(super) fn frame(meter: &Meter, values: &Values) -> Vec<u8> {
    let mut frame = Frame { bytes: vec![START], standard: meter.version == Version::TicStandard, values };
    if frame.standard {
        frame.standard_groups();
    } else {
        frame.historic_groups();
    }
    frame.bytes.push(END);
    frame.bytes
}

struct Frame<'a> {
    bytes: Vec<u8>,
    standard: bool,
    values: &'a Values,
}

impl Frame<'_> {
    /// Line feed, label, value, checksum, carriage return. The standard mode's checksum includes the last separator.
    fn group(&mut self, label: &str, value: &str) {
        let separator = if self.standard { '\t' } else { ' ' };
        let mut text = format!("{label}{separator}{value}").into_bytes();
        // The first register takes the flipped bit: a digit that is another one.
        if let (Some(random), "EAST" | "HCHC") = (self.values.quirks.flip, label) {
            let place = text.len() - 1 - random as usize % 4;
            text[place] ^= 1;
        }
        if self.standard {
            text.push(b'\t');
        }
        let check = checksum::printable(&text);
        if !self.standard {
            text.push(b' ');
        }
        self.bytes.push(b'\n');
        self.bytes.extend(text);
        self.bytes.extend([check, b'\r']);
    }

    fn number(&mut self, label: &str, value: u64, digits: usize) {
        self.group(label, &format!("{value:0digits$}"));
    }

    /// By phase, numbered where there are three.
    fn phases(&mut self, label: &str, digits: usize, value: impl Fn(&Values, usize) -> u64) {
        if self.values.phases == 1 {
            return self.number(label, value(self.values, 0), digits);
        }
        for phase in 0..self.values.phases {
            self.number(&format!("{label}{}", phase + 1), value(self.values, phase), digits);
        }
    }

    fn apparent(&self, given: bool) -> u64 {
        (0..self.values.phases).map(|phase| u64::from(self.values.apparent(phase, given))).sum()
    }

    fn historic_groups(&mut self) {
        let three = self.values.phases == 3;
        self.group("ADCO", &self.values.serial(12));
        self.group("OPTARIF", "HC..");
        self.group("ISOUSC", if three { "20" } else { "45" });
        self.number("HCHC", self.values.import_rate(1), 9);
        self.number("HCHP", self.values.import_rate(2), 9);
        self.group("PTEC", if self.values.rate == 1 { "HC.." } else { "HP.." });
        self.phases("IINST", 3, |values, phase| values.current(phase, 1_000).into());
        self.phases("IMAX", 3, |_, _| 60);
        if three {
            self.group("PMAX", "07990");
        }
        // Tens of VA.
        let apparent = (self.apparent(false) + 5) / 10 * 10;
        self.number("PAPP", apparent, 5);
        self.group("HHPHC", "A");
        self.group("MOTDETAT", "000000");
        if three {
            self.group("PPOT", "00");
        }
    }

    fn standard_groups(&mut self) {
        let values = self.values;
        let stamp = self.stamp();
        self.group("ADSC", &values.serial(12));
        self.group("VTIC", "02");
        self.group("DATE", &format!("{stamp}\t"));
        self.group("NGTF", " HEURE PLEINE/CR");
        let low = values.rate == 1;
        self.group("LTARF", if low { "  HEURE  CREUSE " } else { "  HEURE  PLEINE " });
        self.number("EAST", values.import(), 9);
        for index in 1..=10 {
            let register = if index <= 2 { values.import_rate(index) } else { 0 };
            self.number(&format!("EASF{index:02}"), register, 9);
        }
        for index in 1..=4 {
            self.number(&format!("EASD{index:02}"), if index == 1 { values.import() } else { 0 }, 9);
        }
        self.number("EAIT", values.export(), 9);
        let [taken, given] = values.reactive();
        for (label, value) in [("ERQ1", taken), ("ERQ2", 0), ("ERQ3", 0), ("ERQ4", given)] {
            self.number(label, value, 9);
        }
        for phase in 0..values.phases {
            self.number(&format!("IRMS{}", phase + 1), values.current(phase, 1_000).into(), 3);
        }
        for phase in 0..values.phases {
            self.number(&format!("URMS{}", phase + 1), values.voltage(phase, 1_000).into(), 3);
        }
        self.group("PREF", "12");
        self.group("PCOUP", "12");
        self.number("SINSTS", self.apparent(false), 5);
        if values.phases == 3 {
            for phase in 0..3 {
                self.number(&format!("SINSTS{}", phase + 1), values.apparent(phase, false).into(), 5);
            }
        }
        self.group("SMAXSN", &format!("{}000000\t04512", &stamp[..7]));
        self.number("SINSTI", self.apparent(true), 5);
        self.group("STGE", "003A0001");
        self.group("MSG1", "PAS DE          MESSAGE         ");
        self.group("PRM", &values.serial(14));
        self.group("RELAIS", "000");
        self.group("NTARF", if low { "01" } else { "02" });
        self.group("NJOURF", "00");
        self.group("NJOURF+1", "00");
        let unused = " NONUTILE".repeat(9);
        self.group("PJOURF+1", &format!("00008001 NONUTILE{}", &unused[9..]));
    }

    /// `H` in winter, `E` in summer, and the wall clock.
    fn stamp(&self) -> String {
        let local = self.values.local;
        format!(
            "{}{:02}{:02}{:02}{:02}{:02}{:02}",
            if self.values.summer { 'E' } else { 'H' },
            local.year().rem_euclid(100),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second()
        )
    }
}
