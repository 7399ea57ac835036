//! The address of each state of the page, after `#`: deep links work, and back goes back.

use contract::history::Period;
use contract::live::MeterId;

use crate::device::Device;

/// Where one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// Adding a meter: what the household has, once they have said so.
    AddMeter(Option<Device>),
    /// A stretch of the past; `None` for the running one.
    History(Period, Option<String>),
    /// Meters, data, appearance.
    Home,
    /// One meter and why it does or does not speak.
    Meter(MeterId),
    /// This second.
    #[default]
    Now,
    /// Who may read.
    Sharing,
    /// One number from three metres away.
    Wall,
}

impl Route {
    /// Reads what stands after `#`. Anything unknown is [`Route::Now`].
    pub(crate) fn parse(hash: &str) -> Self {
        let mut parts = hash.trim_start_matches(['#', '/']).split('/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("add-meter"), device, _) => Self::AddMeter(device.and_then(Device::named)),
            (Some("history"), period, date) => {
                let period = match period {
                    Some("week") => Period::Week,
                    Some("month") => Period::Month,
                    Some("year") => Period::Year,
                    _ => Period::Day,
                };
                Self::History(period, date.filter(|date| is_date(date)).map(str::to_owned))
            }
            (Some("home"), ..) => Self::Home,
            (Some("meter"), Some(id), _) => id.parse().map_or(Self::Home, |id| Self::Meter(MeterId(id))),
            (Some("sharing"), ..) => Self::Sharing,
            (Some("wall"), ..) => Self::Wall,
            _ => Self::Now,
        }
    }

    /// What stands in the address.
    pub(crate) fn print(&self) -> String {
        match self {
            Self::AddMeter(None) => "#/add-meter".to_owned(),
            Self::AddMeter(Some(device)) => format!("#/add-meter/{}", device.name()),
            Self::History(period, date) => {
                let period = match period {
                    Period::Day => "day",
                    Period::Week => "week",
                    Period::Month => "month",
                    Period::Year => "year",
                };
                match date {
                    Some(date) => format!("#/history/{period}/{date}"),
                    None => format!("#/history/{period}"),
                }
            }
            Self::Home => "#/home".to_owned(),
            Self::Meter(id) => format!("#/meter/{}", id.0),
            Self::Now => "#/now".to_owned(),
            Self::Sharing => "#/sharing".to_owned(),
            Self::Wall => "#/wall".to_owned(),
        }
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_read() {
        for hash in [
            "#/now",
            "#/history/day/2026-11-23",
            "#/history/year",
            "#/sharing",
            "#/home",
            "#/add-meter",
            "#/add-meter/homewizard",
            "#/meter/3",
            "#/wall",
        ] {
            assert_eq!(Route::parse(hash).print(), hash);
        }
    }

    #[test]
    fn unknown_addresses_lead_to_now() {
        for hash in ["", "#", "#/", "#/nowhere", "#key=0123", "#/history/day/<script>"] {
            assert!(matches!(Route::parse(hash), Route::Now | Route::History(_, None)), "{hash}");
        }
    }
}
