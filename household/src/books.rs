//! One register's books: what may be booked when it moves, and what must not.
//!
//! A register only ever rises, and never faster than a home can use energy. What does otherwise is suspected, not booked:
//! if it returns, it was a spike and counts nothing (600, 0, 601 counts 1); if it stays, the register was reset or has
//! jumped, and nothing is booked across that. Never negative, never guessed. Pure: the clock is an argument.

/// The books of one register, in its own smallest unit (mWh, ml, J).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book {
    /// The last register value believed.
    pub believed: i64,
    /// When it was sent, UTC milliseconds.
    pub believed_at: i64,
    /// Everything booked since the first reading; only ever rises.
    pub booked: i64,
    /// A value that does not follow from the believed one, until it is decided.
    pub suspect: Option<Suspect>,
}

/// A value that cannot follow from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The first such value.
    pub first: i64,
    /// When it came.
    pub since: i64,
    /// The newest that follows from it.
    pub last: i64,
    /// When that came.
    pub last_at: i64,
    /// How many there are.
    pub count: u32,
}

/// What came of one register value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was booked for it; never negative.
    pub increment: i64,
    /// What became certain.
    pub event: Option<Event>,
}

/// A decision about a suspected value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It stayed above what is possible: nothing is booked across it.
    Jump {
        /// When it first came.
        since: i64,
    },
    /// It stayed below: nothing is booked across it.
    Reset {
        /// When it first came.
        since: i64,
    },
    /// It did not stay and counts nothing.
    Spike {
        /// When it came.
        since: i64,
    },
}

/// How fast a register can rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Most per hour.
    pub per_hour: i64,
    /// Always allowed: the register's own steps, and a telegram or two between.
    pub slack: i64,
}

impl Limit {
    /// Electricity: 100 kW, more than a house connection of 3 × 80 A carries (55 kW), and 300 Wh, which is ten seconds of it.
    pub const ELECTRICITY: Self = Self { per_hour: 100_000_000, slack: 300_000 };
    /// Gas or water: 25 m³/h, the size of the largest domestic gas meter (G16), and 100 l.
    pub const VOLUME: Self = Self { per_hour: 25_000_000, slack: 100_000 };
    /// Heat: 100 kW in joules, and 10 MJ, the step of many heat meters.
    pub const HEAT: Self = Self { per_hour: 360_000_000, slack: 10_000_000 };

    fn allows(self, rise: i64, milliseconds: i64) -> bool {
        let most = i128::from(self.per_hour) * i128::from(milliseconds.max(0)) / 3_600_000 + i128::from(self.slack);
        (0..=most).contains(&i128::from(rise))
    }
}

/// So many values in a row that follow from each other make a suspected one certain.
///
/// Five: a meter that sends every second may repeat a wrong value for a few seconds while it starts.
const CERTAIN: u32 = 5;

impl Book {
    /// Opens the books with the first value ever seen: nothing is booked for it.
    pub fn open(value: i64, at: i64) -> Self {
        Self { believed: value, believed_at: at, booked: 0, suspect: None }
    }

    /// Books the next value.
    pub fn enter(&mut self, value: i64, at: i64, limit: Limit) -> Entry {
        if limit.allows(value - self.believed, at - self.believed_at) {
            let spike = self.suspect.take().map(|suspect| Event::Spike { since: suspect.since });
            return Entry { increment: self.believe(value, at, value - self.believed), event: spike };
        }
        match &mut self.suspect {
            Some(suspect) if limit.allows(value - suspect.last, at - suspect.last_at) => {
                (suspect.last, suspect.last_at, suspect.count) = (value, at, suspect.count + 1);
            }
            suspect => *suspect = Some(Suspect { first: value, since: at, last: value, last_at: at, count: 1 }),
        }
        match self.suspect {
            Some(Suspect { first, since, count: CERTAIN.., .. }) => {
                let event = if first < self.believed { Event::Reset { since } } else { Event::Jump { since } };
                self.suspect = None;
                Entry { increment: self.believe(value, at, value - first), event: Some(event) }
            }
            _ => Entry { increment: 0, event: None },
        }
    }

    /// Another device hangs there now: its register was `first` when it was first heard, and is `value` now.
    pub fn replace(&mut self, first: i64, value: i64, at: i64) -> i64 {
        self.suspect = None;
        self.believe(value, at, (value - first).max(0))
    }

    fn believe(&mut self, value: i64, at: i64, increment: i64) -> i64 {
        (self.believed, self.believed_at) = (value, at);
        self.booked += increment;
        increment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enters values in Wh, ten seconds apart; gives what was booked in Wh and the events.
    fn enter(values: &[i64]) -> (i64, Vec<Event>) {
        let mut book = Book::open(values[0] * 1_000, 0);
        let events = values[1..]
            .iter()
            .zip(1..)
            .filter_map(|(value, index)| book.enter(value * 1_000, index * 10_000, Limit::ELECTRICITY).event)
            .collect();
        (book.booked / 1_000, events)
    }

    #[test]
    fn r1_a_passing_zero_is_no_reset() {
        assert_eq!(enter(&[600, 0, 601]), (1, vec![Event::Spike { since: 10_000 }]));
        assert_eq!(enter(&[600, 0, 0, 601, 0, 602]).0, 2);
    }

    #[test]
    fn r2_a_passing_high_value_counts_nothing() {
        assert_eq!(enter(&[18, 57_216, 18]), (0, vec![Event::Spike { since: 10_000 }]));
        assert_eq!(enter(&[18, 57_216, 57_217, 18, 19]).0, 1);
    }

    #[test]
    fn r3_a_register_that_stays_down_was_reset_and_bills_nothing_across() {
        assert_eq!(enter(&[600_000, 0, 1, 2, 3, 4, 5]), (5, vec![Event::Reset { since: 10_000 }]));
    }

    #[test]
    fn a_register_that_stays_high_has_jumped_and_bills_nothing_across() {
        assert_eq!(enter(&[18, 57_216, 57_217, 57_218, 57_219, 57_220]), (4, vec![Event::Jump { since: 10_000 }]));
    }

    #[test]
    fn r4_a_month_without_readings_is_booked_whole() {
        let mut book = Book::open(1_000_000, 0);
        let entry = book.enter(1_400_000_000, 30 * 86_400_000, Limit::ELECTRICITY);
        assert_eq!(entry, Entry { increment: 1_399_000_000, event: None });
    }

    #[test]
    fn values_that_follow_from_nothing_are_never_booked() {
        assert_eq!(enter(&[600, 0, 99_999, 5, 88_888, 7, 77_777, 601]).0, 1);
    }

    proptest::proptest! {
        #[test]
        fn what_is_booked_never_falls_and_is_never_more_than_possible(
            values in proptest::collection::vec(0_i64..10_000_000, 2..60),
        ) {
            let mut book = Book::open(values[0], 0);
            for (value, index) in values[1..].iter().zip(1..) {
                let before = book.booked;
                let entry = book.enter(*value, index * 1_000, Limit::ELECTRICITY);
                proptest::prop_assert!(entry.increment >= 0);
                proptest::prop_assert_eq!(book.booked, before + entry.increment);
            }
            let most = i64::from(CERTAIN) * Limit::ELECTRICITY.slack * values.len() as i64 + values.len() as i64 * 28_000;
            proptest::prop_assert!(book.booked <= most);
        }

        #[test]
        fn an_honest_register_is_booked_to_the_last_digit(rises in proptest::collection::vec(0_i64..20_000, 1..200)) {
            let mut book = Book::open(5_000_000, 0);
            let mut value = 5_000_000;
            for (rise, index) in rises.iter().zip(1..) {
                value += rise;
                book.enter(value, index * 1_000, Limit::ELECTRICITY);
            }
            proptest::prop_assert_eq!(book.booked, value - 5_000_000);
        }
    }
}
