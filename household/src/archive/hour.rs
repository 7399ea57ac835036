//! An hour of one metering point: its readings, what was booked of them, and how the account stood when it began.
//!
//! The account at the beginning makes an hour complete in itself: what it booked can be counted anew from its own bytes.
//! Booked totals are kept too, so that a question about amounts decodes nothing else and a later Wattle, whose rules for
//! suspected registers may be better, does not rewrite the past by reading it.

use contract::live::PointKind;
use meter_link::reading::{Flow, Phase, Quantity, Trust};

use super::account::{Account, Happened, stamp};
use super::block::{self, Block, Column, ColumnId, MAX_ROWS, Reference};
use super::channel::{Channels, FIRST, RegisterId, Side};
use super::column::{Packer, Shape, Values};
use super::rows::{Mark, Rows};
use super::varint::{Cursor, put};
use super::{Damage, HOUR};

/// The column of instants.
const AT: ColumnId = 0;
/// The column of marks, as places in the block's own list.
const MARK: ColumnId = 1;
/// The columns of booked totals, by [`Side`].
const BOOKED: [ColumnId; 2] = [2, 3];

/// The beginning of the hour that holds an instant.
pub const fn hour_of(at: i64) -> i64 {
    at - at.rem_euclid(HOUR)
}

/// An hour with its account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// How the account stood before the first reading.
    opening: Account,
    rows: Rows,
    /// Booked since the beginning of the hour, at each reading, by [`Side`].
    booked: [Values; 2],
    /// How the account stands after the last reading.
    account: Account,
    /// What happened, by the readings that made it certain.
    happened: Vec<Happened>,
}

impl Hour {
    /// An hour in which nothing has been said yet.
    pub fn open(opening: Account) -> Self {
        let opening = opening.carried();
        Self { account: opening.clone(), opening, ..Self::default() }
    }

    /// Counts the readings of an hour from how the account stood before it.
    pub fn count(opening: &Account, rows: Rows, kind: PointKind, channels: &Channels) -> Self {
        let mut hour = Self { rows, ..Self::open(opening.clone()) };
        let registers = registers(&hour.rows, kind, channels);
        for place in 0..hour.rows.len() {
            hour.enter(place, kind, channels, &registers);
        }
        hour
    }

    /// Takes a reading; one that is older than others of the hour has them counted anew. False if its instant is taken or
    /// the hour is full ([`MAX_ROWS`]).
    pub fn insert(&mut self, row: &super::rows::Row, kind: PointKind, channels: &Channels) -> bool {
        let is_newest = self.account.last_at().is_none_or(|last| row.at > last);
        if self.rows.len() >= MAX_ROWS || !self.rows.insert(row) {
            return false;
        }
        if is_newest {
            let values = row.values.iter().filter_map(|(id, value)| {
                let meaning = channels.meaning(*id)?;
                Some((meaning.register(kind)?, meaning.smallest(*value)?))
            });
            let values = first_of_each(values);
            self.account.enter(kind, row.at, row.mark, &values, &mut self.happened);
            for (values, booked) in self.booked.iter_mut().zip(self.account.booked()) {
                values.push(booked);
            }
        } else {
            *self = Self::count(&self.opening, std::mem::take(&mut self.rows), kind, channels);
        }
        true
    }

    fn enter(&mut self, place: usize, kind: PointKind, channels: &Channels, registers: &[(RegisterId, ColumnId)]) {
        let values = registers.iter().filter_map(|(register, id)| {
            let value = self.rows.columns().get(id)?.get(place).copied().flatten()?;
            Some((*register, channels.meaning(*id)?.smallest(value)?))
        });
        let values = first_of_each(values);
        let (at, mark) = (self.rows.at()[place], self.rows.marks()[place]);
        self.account.enter(kind, at, mark, &values, &mut self.happened);
        for (values, booked) in self.booked.iter_mut().zip(self.account.booked()) {
            values.push(booked);
        }
    }

    /// How the account stood before the first reading.
    pub const fn opening(&self) -> &Account {
        &self.opening
    }

    /// How it stands after the last.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// The readings.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Booked since the beginning of the hour, at each reading, by [`Side`].
    pub const fn booked(&self) -> &[Values; 2] {
        &self.booked
    }

    /// What happened.
    pub fn happened(&self) -> &[Happened] {
        &self.happened
    }

    /// The hour as bytes.
    pub fn write(&self, kind: PointKind, channels: &Channels, packer: &mut Packer) -> Vec<u8> {
        let mut owner = Vec::new();
        self.opening.write(&mut owner);
        let marks = put_marks(&mut owner, self.rows.marks());
        let at: Values = self.rows.at().iter().copied().map(Some).collect();
        let plain = |id, values, shape| Column { id, values, shape, reference: Reference::default() };
        let mut columns = vec![plain(AT, &at, Shape::Clock), plain(MARK, &marks, Shape::Step)];
        let (totals, parts): (Vec<_>, Vec<_>) = self
            .rows
            .columns()
            .iter()
            .map(|(id, values)| (*id, values, power_reference(*id, &self.rows, channels)))
            .partition(|(.., reference)| *reference != Reference::default());
        columns.extend(parts.into_iter().map(|(id, values, _)| plain(id, values, Shape::Step)));
        for (id, values, reference) in totals {
            columns.push(Column { id, values, shape: Shape::Level, reference });
        }
        for side in Side::ALL {
            let reference = booked_reference(side, &self.rows, kind, channels);
            let (id, values) = (BOOKED[side.index()], &self.booked[side.index()]);
            columns.push(Column { id, values, shape: Shape::Step, reference });
        }
        block::encode(&owner, self.rows.len(), &columns, packer)
    }
}

/// An hour's bytes, checked; decoded as far as is asked.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    block: Block<'a>,
    opening: Account,
    marks: Vec<Mark>,
}

impl<'a> Stored<'a> {
    /// Checks the bytes of an hour.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        let block = Block::read(bytes)?;
        let mut cursor = Cursor::new(block.owner());
        let opening = Account::read(&mut cursor).ok_or(Damage::Nonsense("account"))?;
        let marks = marks(&mut cursor).ok_or(Damage::Nonsense("marks"))?;
        Ok(Self { block, opening, marks })
    }

    /// How the account stood before the first reading.
    pub const fn opening(&self) -> &Account {
        &self.opening
    }

    /// How many readings there are.
    pub const fn len(&self) -> usize {
        self.block.rows()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The channels it has.
    pub fn channels(&self) -> impl Iterator<Item = ColumnId> {
        self.block.ids().filter(|id| *id >= FIRST)
    }

    /// The instants of the readings.
    pub fn at(&self) -> Result<Vec<i64>, Damage> {
        let at = self.block.column(AT)?.ok_or(Damage::Nonsense("instants"))?;
        at.into_iter().collect::<Option<_>>().ok_or(Damage::Nonsense("instants"))
    }

    /// A channel's values, as long as there are readings. `None` if nothing came over it.
    pub fn column(&self, id: ColumnId) -> Result<Option<Values>, Damage> {
        self.block.column(id)
    }

    /// Booked since the beginning of the hour, at each reading, by [`Side`].
    pub fn booked(&self) -> Result<[Values; 2], Damage> {
        let side = |id| self.block.column(id)?.ok_or(Damage::Nonsense("booked"));
        Ok([side(BOOKED[0])?, side(BOOKED[1])?])
    }

    /// All readings.
    pub fn rows(&self) -> Result<Rows, Damage> {
        let places = self.block.column(MARK)?.ok_or(Damage::Nonsense("marks"))?;
        let mark = |place: Option<i64>| self.marks.get(usize::try_from(place?).ok()?).copied();
        let marks = places.into_iter().map(mark).collect::<Option<_>>().ok_or(Damage::Nonsense("marks"))?;
        let column = |id| Ok((id, self.block.column(id)?.unwrap_or_default()));
        let columns = self.channels().map(column).collect::<Result<_, Damage>>()?;
        Rows::of(self.at()?, marks, columns).ok_or(Damage::Nonsense("rows"))
    }
}

/// The registers of a point among the columns.
fn registers(rows: &Rows, kind: PointKind, channels: &Channels) -> Vec<(RegisterId, ColumnId)> {
    rows.columns().keys().filter_map(|id| Some((channels.meaning(*id)?.register(kind)?, *id))).collect()
}

/// The first value of each register counts; a repeated line is a merged telegram's.
fn first_of_each(values: impl Iterator<Item = (RegisterId, i64)>) -> Vec<(RegisterId, i64)> {
    let mut first: Vec<(RegisterId, i64)> = Vec::new();
    for (register, value) in values {
        if !first.iter().any(|(known, _)| *known == register) {
            first.push((register, value));
        }
    }
    first
}

/// What a booked total moves with: the total register where there is one, else the rates.
fn booked_reference(side: Side, rows: &Rows, kind: PointKind, channels: &Channels) -> Reference {
    let of_side = registers(rows, kind, channels).into_iter().filter(|((of, _), _)| *of == side);
    let of_side: Vec<_> = of_side.collect();
    let has_total = of_side.iter().any(|((_, rate), _)| *rate == 0);
    let parts = of_side.into_iter().filter(|((_, rate), _)| !has_total || *rate == 0).map(|(_, id)| id);
    let plus: Vec<ColumnId> = parts.collect();
    let one = |id: &ColumnId| channels.meaning(*id).and_then(|meaning| meaning.smallest(1));
    let factor = plus.first().and_then(one).and_then(|factor| u32::try_from(factor).ok()).filter(|factor| *factor > 0);
    match factor {
        Some(factor) if plus.iter().all(|id| one(id) == Some(i64::from(factor))) => {
            Reference { plus, factor, ..Reference::default() }
        }
        _ => Reference::default(),
    }
}

/// What total power nearly is: the sum of the phases, each way.
fn power_reference(id: ColumnId, rows: &Rows, channels: &Channels) -> Reference {
    let Some(total) = channels.meaning(id) else { return Reference::default() };
    let Quantity::ActivePower(flow, Phase::Total) = total.quantity else { return Reference::default() };
    let phases = |wanted: Flow| -> Vec<ColumnId> {
        let is_phase = |id: &&ColumnId| {
            channels.meaning(**id).is_some_and(|meaning| {
                let is_wanted = matches!(meaning.quantity, Quantity::ActivePower(flow, phase)
                    if flow == wanted && matches!(phase, Phase::L1 | Phase::L2 | Phase::L3));
                is_wanted && meaning.places == total.places && !meaning.is_instant
            })
        };
        rows.columns().keys().filter(is_phase).copied().collect()
    };
    let (plus, minus) = match flow {
        Flow::Import => (phases(Flow::Import), phases(Flow::Export)),
        Flow::Export => (phases(Flow::Export), phases(Flow::Import)),
        Flow::Net => (phases(Flow::Net), Vec::new()),
    };
    let is_sum = (1..=3).contains(&plus.len()) && minus.len() <= 3;
    match is_sum && !total.is_instant {
        true => Reference { plus, minus, factor: 1, clamped: flow != Flow::Net },
        false => Reference::default(),
    }
}

/// Writes the marks that occur, each once; gives the place of each row's.
fn put_marks(bytes: &mut Vec<u8>, marks: &[Mark]) -> Values {
    let mut known: Vec<Mark> = Vec::new();
    let mut places = Vec::with_capacity(marks.len());
    let mut last = 0;
    for mark in marks {
        if known.get(last) != Some(mark) {
            last = known.iter().position(|other| other == mark).unwrap_or_else(|| {
                known.push(*mark);
                known.len() - 1
            });
        }
        places.push(Some(last as i64));
    }
    put(bytes, known.len() as u64);
    for mark in known {
        bytes.push(mark.stamp as u8 | (trust_number(mark.trust) << 4));
        put(bytes, u64::from(mark.source));
        put(bytes, u64::from(mark.device));
    }
    places
}

fn marks(cursor: &mut Cursor<'_>) -> Option<Vec<Mark>> {
    let count = cursor.next_count().filter(|count| *count <= MAX_ROWS)?;
    let mark = |_| {
        let byte = *cursor.take(1)?.first()?;
        let (source, device) = (u32::try_from(cursor.next()?).ok()?, u32::try_from(cursor.next()?).ok()?);
        Some(Mark { stamp: stamp(byte & 15)?, trust: trust(byte >> 4)?, source, device })
    };
    (0..count).map(mark).collect()
}

/// How trust is kept, for ever.
pub(super) const fn trust_number(trust: Trust) -> u8 {
    match trust {
        Trust::Unverified => 0,
        Trust::Checked => 1,
        Trust::Authenticated => 2,
    }
}

pub(super) const fn trust(number: u8) -> Option<Trust> {
    match number {
        0 => Some(Trust::Unverified),
        1 => Some(Trust::Checked),
        2 => Some(Trust::Authenticated),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use meter_link::obis::Obis;
    use meter_link::reading::Unit;
    use proptest::prelude::*;

    use super::super::channel::Meaning;
    use super::super::rows::{Row, Stamp};
    use super::*;

    /// Rates 1 and 2 each way in Wh, power of three phases and all together in W.
    pub(in crate::archive) fn channels() -> Channels {
        let meaning = |c, d, e, quantity, unit| Meaning {
            obis: Obis::new(1, 0, c, d, e),
            quantity,
            unit,
            places: 0,
            is_instant: false,
        };
        let energy = |c, rate, flow| meaning(c, 8, rate, Quantity::ActiveEnergy(flow, rate), Unit::WattHour);
        let power = |c, flow, phase| meaning(c, 7, 0, Quantity::ActivePower(flow, phase), Unit::Watt);
        let mut known = Vec::new();
        for (c, flow) in [(1, Flow::Import), (2, Flow::Export)] {
            known.extend([energy(c, 1, flow), energy(c, 2, flow)]);
        }
        for (c, flow) in [(1, Flow::Import), (2, Flow::Export)] {
            for (of, phase) in [(0, Phase::Total), (20, Phase::L1), (40, Phase::L2), (60, Phase::L3)] {
                known.push(power(c + of, flow, phase));
            }
        }
        Channels::new(known)
    }

    /// A reading: its instant, device, what each register rose by, and power of two phases.
    pub(in crate::archive) fn row() -> impl Strategy<Value = Row> {
        let rates = prop_oneof![8 => 0_i64..4_000, 1 => Just(0), 1 => 0_i64..90_000_000];
        let device = prop_oneof![9 => Just(2_u32), 1 => 0_u32..4];
        let stamp = prop_oneof![9 => Just(Stamp::Meter), 1 => Just(Stamp::Host), 1 => Just(Stamp::Wrong)];
        (0..HOUR, device, stamp, rates, proptest::option::weighted(0.9, 0_i64..4_000), -3_000_i64..3_000, any::<bool>())
            .prop_map(|(at, device, stamp, first, second, power, both)| {
                let mut values = vec![(FIRST, first + at / 1_000)];
                values.extend(second.map(|second| (FIRST + 1, second + at / 500)));
                if both {
                    values.push((FIRST + 2, at / 5_000));
                }
                values.extend([(FIRST + 4, power.max(0) + 1), (FIRST + 5, power.max(0)), (FIRST + 6, 1)]);
                values.extend([(FIRST + 8, (-power).max(0)), (FIRST + 9, (-power).max(0))]);
                Row { at, mark: Mark { stamp, device, ..Mark::default() }, values }
            })
    }

    proptest! {
        #[test]
        fn an_hour_is_the_same_in_whatever_order_its_readings_came(
            rows in proptest::collection::vec(row(), 1..60),
            seed in any::<u64>(),
        ) {
            let channels = channels();
            let mut sorted = Rows::default();
            for row in &rows {
                sorted.insert(row);
            }
            let expect = Hour::count(&Account::default(), sorted, PointKind::Connection, &channels);
            // The first of an instant is kept, so those stay in their order.
            let mut shuffled = rows;
            shuffled.sort_by_key(|row| row.at.wrapping_mul(seed as i64 | 1));
            let mut hour = Hour::open(Account::default());
            for row in &shuffled {
                hour.insert(row, PointKind::Connection, &channels);
            }
            prop_assert_eq!(hour, expect);
        }

        #[test]
        fn an_hour_is_read_as_it_was_written(rows in proptest::collection::vec(row(), 0..80)) {
            let channels = channels();
            let mut hour = Hour::open(Account::default());
            for row in &rows {
                hour.insert(row, PointKind::Connection, &channels);
            }
            let next = Hour::open(hour.account().clone());
            for hour in [hour, next] {
                let bytes = hour.write(PointKind::Connection, &channels, &mut Packer::new(3));
                let stored = Stored::read(&bytes).expect("its own bytes");
                prop_assert_eq!(stored.opening(), hour.opening());
                prop_assert_eq!(&stored.booked().expect("undamaged"), hour.booked());
                let rows = stored.rows().expect("undamaged");
                prop_assert_eq!(&rows, hour.rows());
                let counted = Hour::count(stored.opening(), rows, PointKind::Connection, &channels);
                prop_assert_eq!(counted, hour);
            }
        }
    }

    #[test]
    fn what_is_booked_and_total_power_cost_next_to_nothing_beside_their_parts() {
        let channels = channels();
        let mut hour = Hour::open(Account::default());
        for second in 0..3_600_i64 {
            let (l1, l2) = (second * second % 3_001, second * 7 % 1_009);
            let values = vec![
                (FIRST, 3_808_351 + second / 3),
                (FIRST + 2, 5),
                (FIRST + 4, l1 + l2),
                (FIRST + 5, l1),
                (FIRST + 6, l2),
                (FIRST + 8, 0),
                (FIRST + 9, 0),
            ];
            hour.insert(&Row { at: second * 1_000, mark: Mark::default(), values }, PointKind::Connection, &channels);
        }
        let size = |hour: &Hour| hour.write(PointKind::Connection, &channels, &mut Packer::new(3)).len();
        let whole = size(&hour);
        let columns = hour.rows.columns().clone().into_iter().filter(|(id, _)| *id != FIRST + 4).collect();
        let rows = Rows::of(hour.rows.at().to_vec(), hour.rows.marks().to_vec(), columns).expect("equally long");
        let without = size(&Hour { rows, ..hour });
        assert!(whole - without < 20, "{whole} {without}");
    }
}
