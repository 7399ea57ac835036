//! Carries a change of a meter's keys through, step by step, over as many associations as it takes.
//!
//! Knows neither addresses nor the place where keys are kept: that is a [`Keeper`]'s. Every step is kept before what it
//! announces is sent, and every ending is proven by a read, so the future may be dropped anywhere: [`advance`] goes on from
//! what was kept last. It refuses to believe a meter's word: "taken" and "refused" are both followed by an association
//! under the keys in question. It hands over nothing but what the journal holds.
//!
//! A master key may be agreed on (suites 1 and 2), never a key that opens the meter: an agreed key that we did not hear of
//! would be the only one that the meter still takes.
//!
//! Source: Blue Book part 2, section 4.4.7 (security setup, class 64); Green Book, section 9.2.5 (key management).

use super::asked::{AskError, Asked};
use super::reserve::Reserve;
use crate::dlms_client::apdu::Attribute;
use crate::dlms_client::curve::PrivateKey;
use crate::dlms_client::error::ClientError;
use crate::dlms_client::key_change::{Ended, KeyChange, Stage, SuiteKeys, Trouble};
use crate::dlms_client::security_setup::{KeyId, wrap};
use crate::obis::Obis;
use crate::security::Counter;
use crate::security::key::{Key, Suite};

/// A change that is not proven after so many rounds never will be: one for each way a meter can half obey, and one more.
const ROUNDS: u32 = 5;
/// Tries for a private key: one in 2^32 random numbers is none of the curve's.
const DRAWS: u32 = 8;

/// Why this try went no further. The journal that was kept last is where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halted<E> {
    /// The keeper cannot do its part, so nothing more is sent.
    Keeper(E),
    /// The meter.
    Meter(Trouble),
    /// Our own counters cannot be kept, so nothing more is sent.
    NotKept,
}

/// Who opens associations with the meter, and keeps what must not be lost.
pub trait Keeper: Send {
    /// Who keeps our own counters.
    type Reserve: Reserve + Send;
    /// Why its part cannot be done.
    type Error: Send;

    /// An association under these keys.
    fn open(&mut self, keys: &SuiteKeys) -> impl Future<Output = Result<Asked<Self::Reserve>, AskError>> + Send;

    /// The meter has answered under a key: its counter, to be kept.
    fn heard(&mut self, counter: Counter) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Keeps the journal; durable when this returns.
    fn keep(&mut self, change: &KeyChange) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Makes new keys for this suite with [`KeyChange::proposed`] and keeps the journal. `None`: the suite has ended.
    fn propose(
        &mut self,
        change: &KeyChange,
        suite: Suite,
    ) -> impl Future<Output = Result<Option<KeyChange>, Self::Error>> + Send;
}

/// Goes on with a change until it has ended or cannot go on now.
pub async fn advance<K: Keeper>(keeper: &mut K, mut change: KeyChange) -> Result<Ended, Halted<K::Error>> {
    for round in 0.. {
        let (mut asked, found) = open(keeper, &change).await?;
        change = keep(keeper, change.answered_under(&found)).await?;
        if change.is_proven() {
            asked.release().await;
            return Ok(Ended::Replaced(change));
        }
        if change.stage() == Stage::Verified {
            change = keep(keeper, change.again()).await?;
        }
        if round == ROUNDS {
            asked.release().await;
            break;
        }
        if change.target().is_none() {
            // The strongest suite that the meter has for us.
            let suite = suite(&mut asked).await?.map_or(found.suite, |said| said.max(found.suite));
            match keeper.propose(&change, suite).await.map_err(Halted::Keeper)? {
                Some(proposed) => change = proposed,
                None => {
                    asked.release().await;
                    return Ok(Ended::RolledBack(change, Trouble::SuiteEnded));
                }
            }
        }
        let handed = hand_over(keeper, &mut asked, &mut change, &found).await?;
        // After new keys of another suite the two sides have no common word for goodbye.
        if handed.is_err() || change.target().is_some_and(|target| target.suite == found.suite) {
            asked.release().await;
        }
        let Err(trouble) = handed else { continue };
        // Also a refusal is only a word.
        let (asked, found) = open(keeper, &change).await?;
        asked.release().await;
        change = keep(keeper, change.answered_under(&found)).await?;
        if change.stage() != Stage::Verified {
            return Ok(Ended::RolledBack(change, trouble));
        }
    }
    Ok(Ended::RolledBack(change, Trouble::MeterRefuses))
}

async fn keep<K: Keeper>(keeper: &mut K, change: KeyChange) -> Result<KeyChange, Halted<K::Error>> {
    keeper.keep(&change).await.map_err(Halted::Keeper)?;
    Ok(change)
}

/// Associates under the first candidate that the meter answers a read under.
async fn open<K: Keeper>(
    keeper: &mut K,
    change: &KeyChange,
) -> Result<(Asked<K::Reserve>, SuiteKeys), Halted<K::Error>> {
    // The name that every logical device has. Refused under a tag, too, it is an answer under these keys.
    let name = readable(1, Obis::new(0, 0, 42, 0, 0), 2)?;
    let mut trouble = Trouble::KeysRefused;
    for keys in change.candidates() {
        let answered = match keeper.open(&keys).await {
            Ok(mut asked) => asked.read(std::slice::from_ref(&name)).await.map(|got| (asked, got)),
            Err(error) => Err(error),
        };
        match answered {
            Ok((asked, got)) if matches!(got[..], [Ok(_) | Err(ClientError::AccessRefused { .. })]) => {
                if let Some(counter) = asked.counter() {
                    keeper.heard(counter).await.map_err(Halted::Keeper)?;
                }
                return Ok((asked, keys));
            }
            Err(AskError::NotKept) => return Err(Halted::NotKept),
            Err(error) if is_silence(error) => trouble = Trouble::MeterSilent,
            _ => (),
        }
    }
    Err(Halted::Meter(trouble))
}

/// The suite of the meter's security setup for us. `None`: it does not say.
async fn suite<R: Reserve, E>(asked: &mut Asked<R>) -> Result<Option<Suite>, Halted<E>> {
    let got = asked.read(&[readable(64, Obis::new(0, 0, 43, 0, 0), 3)?]).await.map_err(|_| silent())?;
    let number = got.first().and_then(|got| got.as_ref().ok()).and_then(|data| data.integer());
    Ok(number.filter(|number| *number < 16).and_then(|number| Suite::of_control(number as u8)))
}

/// Hands over what the meter lacks. The inner error: it refused, as far as it says.
async fn hand_over<K: Keeper>(
    keeper: &mut K,
    asked: &mut Asked<K::Reserve>,
    change: &mut KeyChange,
    found: &SuiteKeys,
) -> Result<Result<(), Trouble>, Halted<K::Error>> {
    if let Some(agreement) = change.agreement().cloned() {
        let Some(ephemeral) = ephemeral(found.suite) else { return Ok(Err(Trouble::AgreementRefused)) };
        let (signing, public) = (&agreement.signing, &agreement.meter_public);
        match asked.agree_key(KeyId::Master, ephemeral, signing, public).await {
            Ok(master) => *change = keep(keeper, change.clone().master_agreed(master)).await?,
            Err(AskError::NotKept) => return Err(Halted::NotKept),
            Err(error) if is_silence(error) => return Err(silent()),
            Err(_) => return Ok(Err(Trouble::AgreementRefused)),
        }
    }
    if let Some(next) = change.next_master().cloned() {
        let was_sent = change.is_master_sent();
        let present: Vec<Key> = change.masters().iter().filter(|master| **master != next).cloned().collect();
        *change = keep(keeper, change.clone().master_sent()).await?;
        let taken = transfer(asked, &present, &[(KeyId::Master, &next)], found).await?;
        // One that was sent before may be refused because the meter has it already.
        if let (Err(trouble), false) = (taken, was_sent) {
            *change = keep(keeper, change.clone().master_refused()).await?;
            return Ok(Err(trouble));
        }
    }
    let Some(target) = change.target().cloned() else { return Ok(Err(Trouble::MeterRefuses)) };
    *change = keep(keeper, change.clone().sent()).await?;
    match transfer(asked, change.masters(), &change.parts(), &target).await? {
        Ok(master) => {
            *change = keep(keeper, change.clone().master_proven(&master)).await?;
            Ok(Ok(()))
        }
        Err(trouble) => Ok(Err(trouble)),
    }
}

/// Hands over keys under the first of the master keys that the meter takes them under; gives that one. The association goes
/// on under `then`.
async fn transfer<R: Reserve, E>(
    asked: &mut Asked<R>,
    masters: &[Key],
    parts: &[(KeyId, &Key)],
    then: &SuiteKeys,
) -> Result<Result<Key, Trouble>, Halted<E>> {
    let mut trouble = Trouble::MasterKeyWrong;
    for master in masters {
        let wrapped: Option<Vec<_>> = parts.iter().map(|(id, key)| Some((*id, wrap(master, key)?))).collect();
        let Some(wrapped) = wrapped else { continue };
        match asked.transfer_keys(&wrapped, &then.pair()).await {
            Ok(()) => return Ok(Ok(master.clone())),
            // Denied, undefined, out of scope, or no such service. All else is what meters say of a wrapping that fails.
            Err(AskError::Client(
                ClientError::AccessRefused { result: 3 | 4 | 13 } | ClientError::Exception { .. },
            )) => trouble = Trouble::MeterRefuses,
            Err(AskError::NotKept) => return Err(Halted::NotKept),
            Err(error) if error.is_refusal() => (),
            Err(_) => return Err(silent()),
        }
    }
    Ok(Err(trouble))
}

/// A random private key, used once. `None` in suite 0, which has no curve.
fn ephemeral(suite: Suite) -> Option<PrivateKey> {
    let length = match suite {
        Suite::Zero => return None,
        Suite::One => 32,
        Suite::Two => 48,
    };
    (0..DRAWS).find_map(|_| {
        let mut bytes = vec![0; length];
        getrandom::fill(&mut bytes).ok()?;
        PrivateKey::new(suite, &bytes)
    })
}

/// Whether the meter was not reached, or stopped in the middle.
const fn is_silence(error: AskError) -> bool {
    matches!(error, AskError::Client(ClientError::LinkRefused | ClientError::TimedOut) | AskError::Link(_))
}

/// The association is over, whatever broke it: the next try finds out how far it came.
const fn silent<E>() -> Halted<E> {
    Halted::Meter(Trouble::MeterSilent)
}

fn readable<E>(class: u16, obis: Obis, number: u8) -> Result<Attribute, Halted<E>> {
    Attribute::new(class, obis, number).ok_or(Halted::Meter(Trouble::MeterRefuses))
}
