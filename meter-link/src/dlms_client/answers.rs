//! What a meter's messages do to the client: the half of [`super::Client`] that listens.

use super::*;

impl Client {
    pub(super) fn hear_link(&mut self, heard: Heard) -> Result<(), ClientError> {
        match (heard, &self.phase) {
            (_, Phase::Over) => Ok(()),
            (Heard::Connected, Phase::Linking) => self.request_association(),
            (Heard::Connected, _) => Ok(()),
            (Heard::Disconnected, Phase::Unlinking) => {
                self.phase = Phase::Over;
                self.events.push_back(Event::Released);
                Ok(())
            }
            (Heard::Disconnected, _) => Err(ClientError::LinkRefused),
            // A general block of sealed blocks, of a sealed answer: never deeper.
            (Heard::Message(apdu), _) => self.hear(&apdu, false, 4),
        }
    }

    /// A message; `proven` if a tag held around it.
    fn hear(&mut self, apdu: &[u8], proven: bool, depth: u8) -> Result<(), ClientError> {
        let tag = *apdu.first().filter(|_| depth > 0).ok_or(DecodeError::Malformed { offset: 0 })?;
        if tag == 0xE0 {
            let Some((whole, proven)) = self.hear_block(apdu, proven)? else { return Ok(()) };
            return self.hear(&whole, proven, depth - 1);
        }
        if let Some((sealed, under, title)) = unwrap(apdu)? {
            let Some(ciphering) = self.ciphering.as_mut().filter(|_| !proven) else {
                return Err(ClientError::Unexpected { tag });
            };
            if title.is_some_and(|title| Some(title) != ciphering.meter_title) {
                return Err(DecodeError::TitleForeign.into());
            }
            let plain = ciphering.open(sealed, under)?;
            return self.hear(&plain, true, depth - 1);
        }
        match (&self.phase, tag) {
            // An unasked message is for whoever listens, not for us.
            (_, 0x0F | 0xC2) => Ok(()),
            (Phase::Associating, 0x61) => self.associated(apdu),
            (Phase::Releasing, 0x63) => {
                self.released();
                Ok(())
            }
            (Phase::Associating | Phase::Proving | Phase::Asking(_), _) => {
                let answer = apdu::answer(apdu)?;
                if let Answer::Exception { state, service, expected } = answer {
                    return self.excepted(state, service, expected);
                }
                if self.is_protected() && !proven {
                    return Err(ClientError::ProtectionMissing);
                }
                self.answered(answer)
            }
            _ => Err(ClientError::Unexpected { tag }),
        }
    }

    /// One general block; the message once it is whole.
    fn hear_block(&mut self, apdu: &[u8], proven: bool) -> Result<Option<(Vec<u8>, bool)>, ClientError> {
        let mut reader = data::Reader::new(apdu);
        let (_, control, number, _) = (reader.u8()?, reader.u8()?, reader.u16()?, reader.u16()?);
        let part = reader.octets()?;
        let expected = self.general.number as u16 + 1;
        if number != expected || expected == u16::MAX {
            return Err(DecodeError::PartMissing { expected, found: number }.into());
        }
        let proven = proven && (number == 1 || self.general.proven);
        self.general.add(part, proven)?;
        if control & 0x80 != 0 {
            return Ok(Some((std::mem::take(&mut self.general).bytes, proven)));
        }
        self.events.push_back(Event::Progress { bytes: self.general.bytes.len() });
        // Streaming: more comes without being asked for.
        if control & 0x40 == 0 {
            let mut request = vec![0xE0, 0x81];
            request.extend(number.to_be_bytes());
            request.extend(number.to_be_bytes());
            request.push(0);
            if proven { self.ask(request)? } else { self.send(&request) }
        }
        Ok(None)
    }

    fn associated(&mut self, apdu: &[u8]) -> Result<(), ClientError> {
        let response = association::response(apdu)?;
        if response.result != 0 {
            let (result, diagnostic) = (response.result, response.diagnostic);
            return Err(ClientError::AssociationRefused { result, diagnostic });
        }
        let information = &response.information;
        let agreed = match &mut self.ciphering {
            None => association::agreed(information)?,
            // An error needs no proof: it gives nothing.
            Some(_) if information.first() == Some(&0x0E) => association::agreed(information)?,
            Some(ciphering) => {
                let title = response.title.or(ciphering.meter_title).ok_or(DecodeError::TitleMissing)?;
                if ciphering.meter_title.is_some_and(|pinned| pinned != title) || title == ciphering.client_title {
                    return Err(DecodeError::TitleForeign.into());
                }
                ciphering.meter_title = Some(title);
                let mut reader = data::Reader::new(information);
                if reader.u8()? != 0x28 {
                    return Err(ClientError::ProtectionMissing);
                }
                let sealed = reader.octets()?;
                association::agreed(&ciphering.open(sealed, Under::Global)?)?
            }
        };
        self.agreed = agreed;
        if self.config.authentication.mechanism() <= 1 {
            self.phase = Phase::Ready;
            self.events.push_back(Event::Associated(agreed));
            return Ok(());
        }
        if response.challenge == self.config.challenge {
            return Err(ClientError::ChallengeReflected);
        }
        if !(8..=64).contains(&response.challenge.len()) {
            return Err(ClientError::AuthenticationWrong);
        }
        self.meter_challenge = response.challenge;
        self.phase = Phase::Proving;
        self.prove()
    }

    /// Third step: our proof.
    fn prove(&mut self) -> Result<(), ClientError> {
        let theirs = self.meter_challenge.clone();
        let ours = &self.config.challenge;
        let Some(ciphering) = &mut self.ciphering else { return Err(ClientError::KeyMissing) };
        let (client, meter) = (ciphering.client_title, ciphering.meter_title.ok_or(DecodeError::TitleMissing)?);
        let proof = match &self.config.authentication {
            Authentication::Sha256(secret) => {
                Sha256::digest([secret, &client[..], &meter, &theirs, ours].concat()).to_vec()
            }
            Authentication::Ecdsa { signing, .. } => {
                let message = [&client[..], &meter, &theirs, ours].concat();
                signing.sign(ciphering.suite, &message).ok_or(ClientError::KeyMissing)?
            }
            // A counter of its own: tag and message must not share a nonce.
            _ => {
                let counter = ciphering.counter()?;
                ciphering.proof(client, counter, &theirs)
            }
        };
        let mut parameter = vec![9];
        data::write_octets(&proof, &mut parameter);
        self.ask(apdu::action(Method::ProveOurselves, &parameter))
    }

    /// Fourth step: the meter's proof.
    fn proven(&self, proof: &[u8]) -> Result<(), ClientError> {
        let (ours, theirs) = (&self.config.challenge, &self.meter_challenge);
        let Some(ciphering) = &self.ciphering else { return Err(ClientError::KeyMissing) };
        let (client, meter) = (ciphering.client_title, ciphering.meter_title.ok_or(DecodeError::TitleMissing)?);
        let holds = match &self.config.authentication {
            Authentication::Sha256(secret) => {
                is_same(&Sha256::digest([secret, &meter[..], &client, ours, theirs].concat()), proof)
            }
            Authentication::Ecdsa { meter: public, .. } => {
                let message = [&meter[..], &client, ours, theirs].concat();
                curve::is_signed(ciphering.suite, public, &message, proof)
            }
            _ => match proof {
                [_, a, b, c, d, ..] => {
                    let counter = u32::from_be_bytes([*a, *b, *c, *d]);
                    is_same(&ciphering.proof(meter, counter, ours), proof)
                }
                _ => false,
            },
        };
        if holds { Ok(()) } else { Err(ClientError::AuthenticationWrong) }
    }

    fn excepted(&mut self, state: u8, service: u8, expected: Option<u32>) -> Result<(), ClientError> {
        let refused = Err(ClientError::Exception { state, service });
        let (Some(ciphering), Some(expected)) = (&mut self.ciphering, expected) else { return refused };
        // Once, and only upwards: the exception is not proven, and a counter must never come twice under a key.
        if self.resynchronised || expected <= ciphering.counters.start {
            return refused;
        }
        if expected >= ciphering.counters.end {
            return Err(ClientError::CounterBehind { expected });
        }
        ciphering.counters.start = expected;
        self.resynchronised = true;
        match self.phase {
            Phase::Associating => self.request_association(),
            Phase::Proving => self.prove(),
            _ => {
                let plain = std::mem::take(&mut self.plain);
                self.ask(plain)
            }
        }
    }

    fn answered(&mut self, answer: Answer) -> Result<(), ClientError> {
        match answer {
            Answer::Block { is_get, is_last, number, part } => {
                let expected = self.answer.number + 1;
                if number != expected {
                    let short = |number: u32| number.min(0xFFFF) as u16;
                    return Err(DecodeError::PartMissing { expected: short(expected), found: short(number) }.into());
                }
                if is_get != matches!(self.phase, Phase::Asking(Question::Get(_))) {
                    return Err(ClientError::Unexpected { tag: if is_get { 0xC4 } else { 0xC7 } });
                }
                self.answer.add(&part, true)?;
                self.events.push_back(Event::Progress { bytes: self.answer.bytes.len() });
                if !is_last {
                    return self.ask(if is_get { apdu::get_next(number) } else { apdu::action_next(number) });
                }
                let bytes = std::mem::take(&mut self.answer).bytes;
                match self.phase {
                    Phase::Asking(Question::Get(1)) => self.finish(Answer::Got(vec![Ok(data::Data::read(&bytes)?)])),
                    Phase::Asking(Question::Get(_)) => self.finish(Answer::Got(apdu::got_list(&bytes)?)),
                    // Some send the result first, some only what it gives back.
                    _ => match apdu::done(&bytes) {
                        Ok(done) => self.finish(done),
                        Err(_) => self.finish(Answer::Done(Some(data::Data::read(&bytes)?))),
                    },
                }
            }
            Answer::BlockTaken(number) => match &self.outgoing {
                Some(outgoing) if outgoing.number == number && outgoing.start < outgoing.parameter.len() => {
                    self.call_next()
                }
                _ => Err(ClientError::Unexpected { tag: 0xC7 }),
            },
            whole => self.finish(whole),
        }
    }

    /// A whole answer.
    fn finish(&mut self, answer: Answer) -> Result<(), ClientError> {
        let event = match (&self.phase, answer) {
            (Phase::Proving, Answer::Done(proof)) => {
                let proof = proof.as_ref().and_then(data::Data::bytes).ok_or(ClientError::AuthenticationWrong)?;
                self.proven(proof)?;
                Event::Associated(self.agreed)
            }
            (Phase::Asking(Question::Get(count)), Answer::Got(got)) => {
                if got.len() != *count && !matches!(got[..], [Err(_)]) {
                    return Err(ClientError::Unexpected { tag: 0xC4 });
                }
                Event::Got(got)
            }
            (Phase::Asking(Question::Transfer), Answer::Done(_)) => Event::KeysTaken,
            (Phase::Asking(Question::Agree(id, ephemeral, public)), Answer::Done(answer)) => {
                let Some(ciphering) = &self.ciphering else { return Err(ClientError::KeyMissing) };
                let titles = (ciphering.client_title, ciphering.meter_title.ok_or(DecodeError::TitleMissing)?);
                let key = security_setup::accept(ciphering.suite, *id, ephemeral, public, titles, answer.as_ref())?;
                Event::KeyAgreed(*id, key)
            }
            _ => return Err(ClientError::Unexpected { tag: 0xC4 }),
        };
        self.phase = Phase::Ready;
        self.outgoing = None;
        self.answer = Incoming::default();
        self.resynchronised = false;
        self.events.push_back(event);
        Ok(())
    }

    fn released(&mut self) {
        if let Link::Hdlc(link) = &mut self.link {
            self.transmit.push_back(link.disconnect());
            self.phase = Phase::Unlinking;
        } else {
            self.phase = Phase::Over;
            self.events.push_back(Event::Released);
        }
    }
}
