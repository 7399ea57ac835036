//! Runs a [`Client`] over a connection: asks, waits, repeats where the transport allows it, gives up in time.
//!
//! Stop by dropping the future of a question: nothing that was read is lost to the protocol, because a session that was
//! left in a question answers [`ClientError::NotReady`] from then on and is to be dropped. Reads no clock but the
//! runtime's, and keeps nothing: counters are the caller's to keep before they are used.

use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::apdu::{Attribute, Got, Selection};
use super::association::Agreed;
use super::ciphering::Keys;
use super::curve::PrivateKey;
use super::data::Data;
use super::error::ClientError;
use super::profile::{Columns, Profile, Row, read_rows};
use super::registers::{Identification, Register, ScalerUnit, reading};
use super::security_setup::KeyId;
use super::{Client, Config, Event};
use crate::country::Country;
use crate::error::DecodeError;
use crate::obis::Obis;
use crate::reading::Reading;
use crate::security::key::Key;

/// A meter behind a radio bridge takes seconds to start an answer; one that says nothing for ten has not heard.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// A frame is sent at most this often again.
const REPEATS: u32 = 3;

/// An association over a connection.
#[derive(Debug)]
pub struct Session<S> {
    stream: S,
    client: Client,
    timeout: Duration,
    /// A question was left before its answer came.
    asking: bool,
    /// Bytes that came.
    heard: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Associates. `timeout` is for each silence, [`TIMEOUT`] as a rule.
    pub async fn associate(stream: S, config: Config, timeout: Duration) -> Result<(Self, Agreed), ClientError> {
        let mut session = Self { stream, client: Client::new(config)?, timeout, asking: false, heard: 0 };
        match session.run(Client::associate, &mut |_| ()).await? {
            Event::Associated(agreed) => Ok((session, agreed)),
            _ => Err(ClientError::NotReady),
        }
    }

    /// The client, for its counters and title.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Bytes that came from the meter since it was associated.
    pub const fn heard(&self) -> u64 {
        self.heard
    }

    /// One attribute.
    pub async fn get(&mut self, attribute: Attribute) -> Got {
        self.get_all(&[attribute], &mut |_| ()).await?.pop().unwrap_or(Err(ClientError::NotReady))
    }

    /// Several attributes: at once where the meter takes it, else one by one. One result for each.
    pub async fn get_all(
        &mut self,
        attributes: &[Attribute],
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Vec<Got>, ClientError> {
        // Ten attributes fit into the shortest message that a meter takes.
        let portion = if self.client.takes_lists() { 10 } else { 1 };
        let mut all = Vec::with_capacity(attributes.len());
        for part in attributes.chunks(portion) {
            match self.run(|client| client.get(part), progress).await {
                Ok(Event::Got(got)) if got.len() == part.len() => all.extend(got),
                // A meter may refuse the list as a whole.
                Ok(Event::Got(_)) => all.extend(part.iter().map(|_| Err(ClientError::AccessRefused { result: 250 }))),
                Ok(_) => return Err(ClientError::NotReady),
                Err(error) if error.is_refusal() => all.extend(part.iter().map(|_| Err(error))),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The meter's clock, attribute 2, as sent.
    pub async fn clock(&mut self) -> Got {
        self.get(attribute(8, Obis::new(0, 0, 1, 0, 0), 2)?).await
    }

    /// The server's record of our last invocation counter (0-0:43.1.e), to start above it. Asked in a public association.
    pub async fn invocation_counter(&mut self, e: u8) -> Result<u32, ClientError> {
        let data = self.get(attribute(1, Obis::new(0, 0, 43, 1, e), 2)?).await?;
        let number = data.integer().and_then(|number| u32::try_from(number).ok());
        number.ok_or(ClientError::Decode(DecodeError::Malformed { offset: 0 }))
    }

    /// Who made the meter, and its number.
    pub async fn identification(&mut self) -> Result<Identification, ClientError> {
        let attributes = [attribute(1, Obis::new(0, 0, 42, 0, 0), 2)?, attribute(1, Obis::new(0, 0, 96, 1, 0), 2)?];
        let got = self.get_all(&attributes, &mut |_| ()).await?;
        let part = |place: usize| got.get(place).and_then(|got| got.as_ref().ok());
        Ok(Identification::new(part(0), part(1)))
    }

    /// Registers, as a reading. Those that the meter refuses are left out.
    pub async fn registers(&mut self, codes: &[Obis], country: Option<Country>) -> Result<Reading, ClientError> {
        let identification = self.identification().await?;
        let clock = match self.clock().await {
            Err(error) if !error.is_refusal() => return Err(error),
            clock => clock.ok(),
        };
        let mut attributes = Vec::new();
        for code in codes {
            attributes.extend([attribute(3, *code, 3)?, attribute(3, *code, 2)?]);
        }
        let got = self.get_all(&attributes, &mut |_| ()).await?;
        let registers: Vec<Register> = codes
            .iter()
            .zip(got.chunks_exact(2))
            .filter_map(|(obis, pair)| {
                let [Ok(scaler_unit), Ok(value)] = pair else { return None };
                let scaler_unit = ScalerUnit::read(scaler_unit)?;
                Some(Register { obis: *obis, value: value.clone(), scaler_unit })
            })
            .collect();
        let authenticated = self.client.is_protected();
        Ok(reading(&identification, clock.as_ref(), &registers, country, authenticated))
    }

    /// Columns and capture period of a profile.
    pub async fn profile(&mut self, obis: Obis) -> Result<Profile, ClientError> {
        let columns = self.get(attribute(7, obis, 3)?).await?;
        let columns = Columns::read(&columns).ok_or(DecodeError::Malformed { offset: 0 })?;
        let period_seconds = match self.get(attribute(7, obis, 4)?).await {
            Ok(data) => data.integer().and_then(|period| u32::try_from(period).ok()).unwrap_or(0),
            // Then every row must carry its own instant.
            Err(error) if error.is_refusal() => 0,
            Err(error) => return Err(error),
        };
        Ok(Profile { columns, period_seconds })
    }

    /// Rows in use, and most rows, of a profile.
    pub async fn entries(&mut self, obis: Obis) -> Result<(Option<i64>, Option<i64>), ClientError> {
        let got = self.get_all(&[attribute(7, obis, 7)?, attribute(7, obis, 8)?], &mut |_| ()).await?;
        let part = |place: usize| got.get(place).and_then(|got: &Got| got.as_ref().ok()).and_then(Data::integer);
        Ok((part(0), part(1)))
    }

    /// Rows of a profile, all or some; `progress` hears how many bytes have come.
    pub async fn rows(
        &mut self,
        obis: Obis,
        profile: &Profile,
        selection: Option<Selection>,
        country: Option<Country>,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Vec<Row>, ClientError> {
        let mut got = self.get_all(&[Attribute::profile(obis, selection)], progress).await?;
        let buffer = got.pop().ok_or(ClientError::NotReady)??;
        Ok(read_rows(profile, &buffer, country)?)
    }

    /// Hands wrapped keys to the meter and uses `keys` from then on. The journal must say `Sent` before.
    pub async fn transfer_keys(&mut self, wrapped: &[(KeyId, Vec<u8>)], keys: &Keys) -> Result<(), ClientError> {
        match self.run(|client| client.transfer_keys(wrapped), &mut |_| ()).await? {
            Event::KeysTaken => {
                self.client.use_keys(keys);
                Ok(())
            }
            _ => Err(ClientError::NotReady),
        }
    }

    /// Agrees on a key; the caller then says by [`Self::use_keys`] that it holds.
    pub async fn agree_key(
        &mut self,
        id: KeyId,
        ephemeral: PrivateKey,
        signing: &PrivateKey,
        meter: &[u8],
    ) -> Result<Key, ClientError> {
        match self.run(|client| client.agree_key(id, ephemeral, signing, meter), &mut |_| ()).await? {
            Event::KeyAgreed(_, key) => Ok(key),
            _ => Err(ClientError::NotReady),
        }
    }

    /// Other keys from the next message on.
    pub fn use_keys(&mut self, keys: &Keys) {
        self.client.use_keys(keys);
    }

    /// Other invocation counters from the next message on, as [`Client::use_counters`] takes them.
    pub fn use_counters(&mut self, counters: Range<u32>) {
        self.client.use_counters(counters);
    }

    /// Ends the association; gives the connection back.
    pub async fn release(mut self) -> Result<S, ClientError> {
        self.run(Client::release, &mut |_| ()).await?;
        Ok(self.stream)
    }

    /// Asks, and carries bytes until the answer is there.
    async fn run(
        &mut self,
        ask: impl FnOnce(&mut Client),
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Event, ClientError> {
        if self.asking {
            return Err(ClientError::NotReady);
        }
        self.asking = true;
        ask(&mut self.client);
        let mut buffer = [0; 4_096];
        let mut repeats = 0;
        loop {
            while let Some(bytes) = self.client.poll_transmit() {
                let sent = tokio::time::timeout(self.timeout, self.stream.write_all(&bytes)).await;
                sent.map_err(|_| ClientError::TimedOut)?.map_err(|_| ClientError::LinkRefused)?;
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    Event::Progress { bytes } => progress(bytes),
                    Event::Failed(error) => {
                        self.asking = false;
                        return Err(error);
                    }
                    event => {
                        self.asking = false;
                        return Ok(event);
                    }
                }
            }
            match tokio::time::timeout(self.timeout, self.stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return Err(ClientError::LinkRefused),
                Ok(Ok(length)) => {
                    repeats = 0;
                    self.heard += length as u64;
                    self.client.handle_bytes(&buffer[..length]);
                }
                Err(_) => {
                    repeats += 1;
                    if repeats > REPEATS || !self.client.handle_timeout() {
                        return Err(ClientError::TimedOut);
                    }
                }
            }
        }
    }
}

/// An attribute of a class that is read.
fn attribute(class: u16, obis: Obis, number: u8) -> Result<Attribute, ClientError> {
    Attribute::new(class, obis, number).ok_or(ClientError::NotReady)
}
