//! What a meter is asked for in each reading, found out once: who it is, which registers it has, and their units.

use super::super::asked::{AskError, Asked};
use super::Listener;
use crate::dlms_client::apdu::{Attribute, Got};
use crate::dlms_client::catalogue::Catalogue;
use crate::dlms_client::error::ClientError;
use crate::dlms_client::registers::{Identification, Register, ScalerUnit, reading};
use crate::obis::Obis;
use crate::reading::{Equipment, Reading, Trust};

/// What is asked.
#[derive(Debug)]
pub(super) struct Plan {
    identification: Identification,
    /// Those with a unit, in the order asked.
    registers: Vec<(Obis, ScalerUnit)>,
    /// The clock, then the registers. attributes.len() == registers.len() + 1
    attributes: Vec<Attribute>,
    /// Load profiles that it may have, the finer ones first.
    pub(super) profiles: Vec<Obis>,
    is_protected: bool,
}

impl Plan {
    /// Finds out what an associated meter has, unless it is the device of `before`.
    pub(super) async fn new(before: Option<Self>, asked: &mut Asked<Listener>) -> Result<Self, AskError> {
        let identification = asked.identification().await?;
        if let Some(before) = before.filter(|before| before.identification == identification) {
            return Ok(before);
        }
        let catalogue = catalogue(asked).await?;
        let units = asked.read(&catalogue.attributes(3)).await?;
        let mut attributes = vec![readable(8, Obis::new(0, 0, 1, 0, 0), 2)?];
        let mut registers = Vec::new();
        for ((&(_, obis), value), unit) in catalogue.registers.iter().zip(catalogue.attributes(2)).zip(units) {
            if let Some(unit) = unit.ok().as_ref().and_then(ScalerUnit::read) {
                registers.push((obis, unit));
                attributes.push(value);
            }
        }
        if registers.is_empty() {
            return Err(AskError::NothingReadable);
        }
        let (profiles, is_protected) = (catalogue.profiles, asked.is_protected());
        Ok(Self { identification, registers, attributes, profiles, is_protected })
    }

    /// One reading.
    pub(super) async fn read(&self, asked: &mut Asked<Listener>) -> Result<Reading, AskError> {
        let mut got = asked.read(&self.attributes).await?.into_iter();
        let clock = got.next().and_then(Got::ok);
        let values = self.registers.iter().zip(got);
        let registers: Vec<Register> = values
            .filter_map(|(&(obis, scaler_unit), value)| Some(Register { obis, value: value.ok()?, scaler_unit }))
            .collect();
        if registers.is_empty() {
            return Err(AskError::NothingReadable);
        }
        let mut reading = reading(&self.identification, clock.as_ref(), &registers, None, self.is_protected);
        reading.counter = asked.counter();
        Ok(reading)
    }

    /// The device.
    pub(super) fn equipment(&self) -> Option<Equipment> {
        self.identification.equipment.clone()
    }

    /// How far what it answers can be believed.
    pub(super) const fn trust(&self) -> Trust {
        if self.is_protected { Trust::Authenticated } else { Trust::Checked }
    }
}

/// The objects that it lists, or all that may be read where it keeps its list to itself.
async fn catalogue(asked: &mut Asked<Listener>) -> Result<Catalogue, AskError> {
    let list = readable(15, Obis::new(0, 0, 40, 0, 0), 2)?;
    let got = asked.read(&[list]).await?.pop();
    let listed = got.and_then(Got::ok).as_ref().and_then(Catalogue::of);
    Ok(listed.filter(|listed| !listed.registers.is_empty()).unwrap_or_else(Catalogue::whole))
}

/// An attribute of a class that is read.
pub(super) fn readable(class: u16, obis: Obis, number: u8) -> Result<Attribute, AskError> {
    Attribute::new(class, obis, number).ok_or(AskError::Client(ClientError::NotReady))
}
