//! What may be booked of a point's readings, one after the other in the order of their own times.
//!
//! A pure function of the readings and nothing else: neither of the order in which they came nor of when. So a reading that
//! comes late is put where it belongs, and its hour and those after it are counted anew until nothing changes any more.
//! Totals are relative: nothing is booked before the block begins, and what an hour booked is added up by whoever asks.
//! Energy is never negative and never guessed: nothing is booked across a reset, a jump or a swap ([`crate::books`]).

use std::collections::BTreeMap;

use contract::history::FactKind;
use contract::live::PointKind;

use super::channel::{RegisterId, Side};
use super::rows::{Mark, STRANGER, Stamp, UNNAMED};
use super::varint::{Cursor, put, put_signed};
use crate::books::{Book, Event, Limit, Suspect};

/// Readings in a row that must name a new device before it is believed: one may be garbled where no checksum guards it.
const CERTAIN_DEVICE: u32 = 3;
/// Registers of a point: two directions of every rate there can be.
const MAX_REGISTERS: usize = 512;

/// A hole between two readings of a point that is longer than this is a gap, in milliseconds.
///
/// Electricity: two minutes, a dozen readings of the slowest P1 meter (10 s), and short enough that no quarter-hour hides
/// one. Children: three hours, because meters before DSMR 5 pass gas on once an hour and may miss one.
pub const fn gap_after(kind: PointKind) -> i64 {
    match kind {
        PointKind::Connection | PointKind::Generation => 120_000,
        PointKind::Gas | PointKind::Heat | PointKind::Water => 3 * 3_600_000,
    }
}

/// How fast a register of a point can rise.
pub const fn limit(kind: PointKind) -> Limit {
    match kind {
        PointKind::Connection | PointKind::Generation => Limit::ELECTRICITY,
        PointKind::Gas | PointKind::Water => Limit::VOLUME,
        PointKind::Heat => Limit::HEAT,
    }
}

/// The running account of a point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Books by register.
    books: BTreeMap<RegisterId, Book>,
    /// Booked since the account was opened, by [`Side`]; `None` until a register of that side was seen.
    booked: [Option<i64>; 2],
    /// The newest reading.
    last: Option<(i64, Stamp)>,
    /// The device that is believed to hang there; [`UNNAMED`] until one is named.
    device: u32,
    /// A device that was named and is not believed yet, with the registers it began with.
    newcomer: Option<Newcomer>,
}

/// A device that may have replaced the one believed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Newcomer {
    device: u32,
    count: u32,
    began: BTreeMap<RegisterId, i64>,
}

/// Something that happened to the data; it belongs to the reading that made it certain, which stands at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// What.
    pub kind: FactKind,
    /// When it began, UTC milliseconds.
    pub start: i64,
    /// When it was certain.
    pub end: i64,
    /// What was booked meanwhile, by [`Side`].
    pub booked: [Option<i64>; 2],
}

impl Account {
    /// What was booked since the account was opened, by [`Side`].
    pub const fn booked(&self) -> [Option<i64>; 2] {
        self.booked
    }

    /// The instant of the newest reading.
    pub fn last_at(&self) -> Option<i64> {
        self.last.map(|(at, _)| at)
    }

    /// The device that is believed to hang there.
    pub const fn device(&self) -> u32 {
        self.device
    }

    /// The value that each register is believed to show.
    pub fn believed(&self) -> impl Iterator<Item = (RegisterId, i64)> {
        self.books.iter().map(|(register, book)| (*register, book.believed))
    }

    /// The same account with nothing booked yet: how the next block opens.
    #[must_use]
    pub fn carried(&self) -> Self {
        let mut carried = self.clone();
        carried.booked = self.booked.map(|booked| booked.map(|_| 0));
        for book in carried.books.values_mut() {
            book.booked = 0;
        }
        carried
    }

    /// Enters the next reading, which is newer than all before it. Tells what happened.
    pub fn enter(
        &mut self,
        kind: PointKind,
        at: i64,
        mark: Mark,
        registers: &[(RegisterId, i64)],
        happened: &mut Vec<Happened>,
    ) {
        let nothing = [None; 2];
        if mark.stamp == Stamp::Wrong && self.last.is_none_or(|(_, stamp)| stamp == Stamp::Meter) {
            happened.push(Happened { kind: FactKind::ClockWrong, start: at, end: at, booked: nothing });
        }
        let before = self.booked;
        self.book(kind, at, mark.device, registers, happened);
        if let Some((last, _)) = self.last.filter(|(last, _)| at - last > gap_after(kind)) {
            let rise = |side: usize| Some(self.booked[side]? - before[side]?);
            happened.push(Happened { kind: FactKind::Gap, start: last, end: at, booked: [rise(0), rise(1)] });
        }
        self.last = Some((at, mark.stamp));
    }

    /// Enters the registers, or decides that another device hangs here.
    fn book(
        &mut self,
        kind: PointKind,
        at: i64,
        named: u32,
        registers: &[(RegisterId, i64)],
        happened: &mut Vec<Happened>,
    ) {
        if named != UNNAMED && self.device != UNNAMED && (named != self.device || named == STRANGER) {
            self.meet(named, registers, at, happened);
            return;
        }
        self.newcomer = None;
        if named != UNNAMED {
            self.device = named;
        }
        let limit = limit(kind);
        let mut rises = self.rises();
        for &(register, value) in registers {
            let Some(book) = self.books.get_mut(&register) else {
                self.books.insert(register, Book::open(value, at));
                continue;
            };
            let entry = book.enter(value, at, limit);
            rises.add(register, entry.increment);
            let Some(event) = entry.event else { continue };
            let (kind, since) = match event {
                Event::Jump { since } => (FactKind::Jump, since),
                Event::Reset { since } => (FactKind::Reset, since),
                Event::Spike { since } => (FactKind::Spike, since),
            };
            let fact = Happened { kind, start: since, end: at, booked: [None; 2] };
            // Two registers that were garbled together are one fact.
            if !happened.contains(&fact) {
                happened.push(fact);
            }
        }
        self.raise(&rises, registers);
    }

    /// Nothing raised yet, by the registers there are.
    fn rises(&self) -> Rises {
        let has_total = Side::ALL.map(|side| self.books.contains_key(&(side, 0)));
        Rises { totals: has_total.map(|has| has.then_some(0)), rates: [0; 2] }
    }

    /// Raises the totals: by the meter's own total register where it has one, else by the sum of its rates.
    fn raise(&mut self, rises: &Rises, registers: &[(RegisterId, i64)]) {
        for side in Side::ALL {
            if registers.iter().any(|((of, _), _)| *of == side) {
                let booked = &mut self.booked[side.index()];
                *booked = Some(booked.unwrap_or(0) + rises.of(side));
            }
        }
    }

    /// Another device is named. Nothing is booked until it is certain; then its books begin with its first registers.
    fn meet(&mut self, named: u32, registers: &[(RegisterId, i64)], at: i64, happened: &mut Vec<Happened>) {
        let newcomer = match self.newcomer.take() {
            Some(mut newcomer) if newcomer.device == named && named != STRANGER => {
                newcomer.count += 1;
                newcomer
            }
            _ => Newcomer { device: named, count: 1, began: registers.iter().copied().collect() },
        };
        if newcomer.count < CERTAIN_DEVICE {
            self.newcomer = Some(newcomer);
            return;
        }
        let start = self.last_at().unwrap_or(at);
        happened.push(Happened { kind: FactKind::Swap, start, end: at, booked: [None; 2] });
        self.books.retain(|register, _| newcomer.began.contains_key(register));
        let has_total = |side| newcomer.began.contains_key(&(side, 0));
        let mut rises = Rises { totals: Side::ALL.map(|side| has_total(side).then_some(0)), rates: [0; 2] };
        for &(register, value) in registers {
            let began = newcomer.began.get(&register).copied().unwrap_or(value);
            let book = self.books.entry(register).or_insert_with(|| Book::open(began, at));
            rises.add(register, book.replace(began, value, at));
        }
        self.raise(&rises, registers);
        self.device = newcomer.device;
    }

    /// Writes the account as a block carries it.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let (last, stamp) = self.last.unwrap_or_default();
        let flags = u8::from(self.last.is_some())
            | u8::from(self.booked[0].is_some()) << 1
            | u8::from(self.booked[1].is_some()) << 2
            | u8::from(self.newcomer.is_some()) << 3
            | (stamp as u8) << 4;
        bytes.push(flags);
        put_signed(bytes, last);
        put(bytes, u64::from(self.device));
        put(bytes, self.books.len() as u64);
        for (register, book) in &self.books {
            put_register(bytes, *register);
            put_signed(bytes, book.believed);
            put_signed(bytes, last.wrapping_sub(book.believed_at));
            put(bytes, u64::from(book.suspect.map_or(0, |suspect| suspect.count)));
            if let Some(suspect) = book.suspect {
                for value in [suspect.first, suspect.since, suspect.last, suspect.last_at] {
                    put_signed(bytes, value);
                }
            }
        }
        if let Some(newcomer) = &self.newcomer {
            put(bytes, u64::from(newcomer.device));
            put(bytes, u64::from(newcomer.count));
            put(bytes, newcomer.began.len() as u64);
            for (register, value) in &newcomer.began {
                put_register(bytes, *register);
                put_signed(bytes, *value);
            }
        }
    }

    /// Reads what [`Self::write`] wrote.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let flags = *cursor.take(1)?.first()?;
        let last = cursor.next_signed()?;
        let stamp = stamp(flags >> 4)?;
        let device = u32::try_from(cursor.next()?).ok()?;
        let mut books = BTreeMap::new();
        for _ in 0..cursor.next_count().filter(|count| *count <= MAX_REGISTERS)? {
            let register = next_register(cursor)?;
            let believed = cursor.next_signed()?;
            let believed_at = last.wrapping_sub(cursor.next_signed()?);
            let count = u32::try_from(cursor.next()?).ok()?;
            let suspect = match count {
                0 => None,
                count => Some(Suspect {
                    first: cursor.next_signed()?,
                    since: cursor.next_signed()?,
                    last: cursor.next_signed()?,
                    last_at: cursor.next_signed()?,
                    count,
                }),
            };
            books.insert(register, Book { believed, believed_at, booked: 0, suspect });
        }
        let newcomer = match flags >> 3 & 1 {
            0 => None,
            _ => {
                let (device, count) = (u32::try_from(cursor.next()?).ok()?, u32::try_from(cursor.next()?).ok()?);
                let registers = cursor.next_count().filter(|count| *count <= MAX_REGISTERS)?;
                let began = (0..registers).map(|_| Some((next_register(cursor)?, cursor.next_signed()?)));
                Some(Newcomer { device, count, began: began.collect::<Option<_>>()? })
            }
        };
        let booked = [1, 2].map(|place| (flags >> place & 1 == 1).then_some(0));
        Some(Self { books, booked, last: (flags & 1 == 1).then_some((last, stamp)), device, newcomer })
    }
}

/// What one reading raised, by side.
struct Rises {
    /// The total register; `None` where the device had none before this reading.
    totals: [Option<i64>; 2],
    /// The sum of the rates.
    rates: [i64; 2],
}

impl Rises {
    fn add(&mut self, (side, rate): RegisterId, increment: i64) {
        match rate {
            // A total that is only now there begins to count with the next reading.
            0 => self.totals[side.index()] = self.totals[side.index()].map(|total| total + increment),
            _ => self.rates[side.index()] += increment,
        }
    }

    fn of(&self, side: Side) -> i64 {
        self.totals[side.index()].unwrap_or(self.rates[side.index()])
    }
}

pub(super) fn stamp(number: u8) -> Option<Stamp> {
    match number {
        0 => Some(Stamp::Host),
        1 => Some(Stamp::Meter),
        2 => Some(Stamp::Wrong),
        _ => None,
    }
}

fn put_register(bytes: &mut Vec<u8>, (side, rate): RegisterId) {
    put(bytes, u64::from(rate) << 1 | side.index() as u64);
}

fn next_register(cursor: &mut Cursor<'_>) -> Option<RegisterId> {
    let number = cursor.next()?;
    Some((if number & 1 == 0 { Side::Import } else { Side::Export }, u8::try_from(number >> 1).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IMPORT: RegisterId = (Side::Import, 0);

    /// Enters import totals in Wh ten seconds apart, each naming a device.
    fn enter(rows: &[(u32, i64)]) -> (Account, Vec<Happened>) {
        let mut account = Account::default();
        let mut happened = Vec::new();
        for (place, &(device, value)) in (0..).zip(rows) {
            let mark = Mark { device, ..Mark::default() };
            let registers = [(IMPORT, value * 1_000)];
            account.enter(PointKind::Connection, place * 10_000, mark, &registers, &mut happened);
        }
        (account, happened)
    }

    #[test]
    fn a_swap_is_believed_at_the_third_reading_and_bills_nothing_across() {
        let (account, happened) = enter(&[(2, 900), (2, 901), (3, 5), (3, 6), (3, 7), (3, 8)]);
        assert_eq!(account.booked(), [Some(1_000 + 3_000), None]);
        assert_eq!((happened.len(), happened[0].kind, account.device()), (1, FactKind::Swap, 3));
    }

    #[test]
    fn strangers_are_never_believed() {
        let (account, happened) = enter(&[(2, 900), (1, 5), (1, 5), (1, 5), (1, 5), (2, 901)]);
        assert_eq!((account.booked(), account.device()), ([Some(1_000), None], 2));
        assert!(happened.is_empty());
    }

    #[test]
    fn the_sum_of_rates_counts_where_there_is_no_total() {
        let mut account = Account::default();
        let mut happened = Vec::new();
        for step in 0..10 {
            let registers = [((Side::Import, 1), 5_000 + step), ((Side::Import, 2), 7_000 + 2 * step)];
            account.enter(PointKind::Connection, step * 1_000, Mark::default(), &registers, &mut happened);
        }
        assert_eq!(account.booked(), [Some(27), None]);
    }

    #[test]
    fn a_total_that_is_sent_now_and_then_is_not_counted_beside_its_rates() {
        let mut account = Account::default();
        let mut happened = Vec::new();
        for step in 0..=60 {
            let mut registers = vec![((Side::Import, 1), 5_000 + step)];
            if step % 20 == 0 {
                registers.push((IMPORT, 9_000 + step));
            }
            account.enter(PointKind::Connection, step * 1_000, Mark::default(), &registers, &mut happened);
        }
        assert_eq!(account.booked(), [Some(60), None]);
    }

    proptest! {
        #[test]
        fn an_account_carried_through_bytes_goes_on_as_if_it_had_not(
            rows in proptest::collection::vec((0_u32..4, prop_oneof![0_i64..3, 600_i64..605, 0_i64..99_999]), 0..30),
            cut in 0_usize..30,
        ) {
            let cut = cut.min(rows.len());
            let (mut account, _) = enter(&rows[..cut]);
            let mut bytes = Vec::new();
            account.write(&mut bytes);
            let mut carried = Account::read(&mut Cursor::new(&bytes)).expect("its own bytes");
            prop_assert_eq!(&carried, &account.carried());
            let before = account.booked();
            let (mut one, mut other) = (Vec::new(), Vec::new());
            for (place, &(device, value)) in (cut as i64..).zip(&rows[cut..]) {
                let mark = Mark { device, ..Mark::default() };
                let registers = [(IMPORT, value * 1_000)];
                account.enter(PointKind::Connection, place * 10_000, mark, &registers, &mut one);
                carried.enter(PointKind::Connection, place * 10_000, mark, &registers, &mut other);
            }
            prop_assert_eq!(one, other);
            prop_assert_eq!(carried.carried(), account.carried());
            if let (Some(before), Some(after), Some(rise)) = (before[0], account.booked()[0], carried.booked()[0]) {
                prop_assert_eq!(after - before, rise);
            }
        }

        #[test]
        fn any_bytes_are_no_account_or_one(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Account::read(&mut Cursor::new(&bytes));
        }
    }
}
