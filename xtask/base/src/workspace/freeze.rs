//! When nothing may be deployed: `Fri 16:00 - Mon 07:00 Europe/Vienna; 2026-12-23 - 2027-01-02 Europe/Vienna`. Windows of
//! the week and of the calendar, each in its own time zone. What time it is there is asked elsewhere.

/// A moment as it is told in a time zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local {
    /// `2026-12-23`
    pub date: String,
    /// Monday is 1, Sunday 7.
    pub weekday: u32,
    /// Minutes since midnight.
    pub minute: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Span {
    /// Minutes since Monday 0:00.
    Week { from: u32, to: u32 },
    /// Dates with their minute of the day, the last one excluded.
    Calendar { from: (String, u32), to: (String, u32) },
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub text: String,
    pub zone: String,
    span: Span,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: u32 = 24 * 60;

impl Window {
    pub fn holds(&self, now: &Local) -> bool {
        match &self.span {
            Span::Week { from, to } => {
                let minute = (now.weekday.saturating_sub(1)) * DAY + now.minute;
                // One that ends before it begins goes over the weekend.
                if from <= to { (*from..*to).contains(&minute) } else { minute >= *from || minute < *to }
            }
            Span::Calendar { from, to } => {
                let now = (now.date.clone(), now.minute);
                *from <= now && now < *to
            }
        }
    }
}

/// Reads FREEZE; the text that cannot be read, and why.
pub fn parse(text: &str) -> Result<Vec<Window>, String> {
    text.split(';').map(str::trim).filter(|window| !window.is_empty()).map(window).collect()
}

fn window(text: &str) -> Result<Window, String> {
    let expected = || {
        format!(
            "`{text}` is no window: expected `Fri 16:00 - Mon 07:00 Europe/Vienna` or `2026-12-23 - 2027-01-02 Europe/Vienna`"
        )
    };
    let (from, rest) = text.split_once(" - ").ok_or_else(expected)?;
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let zone = words
        .pop()
        .filter(|zone| is_zone(zone))
        .ok_or_else(|| format!("`{text}` ends with no time zone, such as Europe/Vienna or UTC"))?;
    let from: Vec<&str> = from.split_whitespace().collect();
    let is_week = from.first().is_some_and(|word| weekday(word).is_some());
    let span = if is_week {
        let moment =
            |words: &[&str]| Some(weekday(words.first()?)? * DAY + clock(words.get(1)?).filter(|_| words.len() == 2)?);
        let (from, to) = (moment(&from).ok_or_else(expected)?, moment(&words).ok_or_else(expected)?);
        if from == to {
            return Err(format!("`{text}` ends when it begins; a whole week is `Mon 00:00 - Sun 24:00`"));
        }
        Span::Week { from, to }
    } else {
        let moment = |words: &[&str], whole: u32| {
            let date = words.first().filter(|date| is_date(date) && words.len() <= 2)?;
            let minute = words.get(1).map_or(Some(whole), |time| clock(time))?;
            Some(((*date).to_owned(), minute))
        };
        // A last day without a time is frozen to its end.
        let (from, to) = (moment(&from, 0).ok_or_else(expected)?, moment(&words, DAY).ok_or_else(expected)?);
        if from >= to {
            return Err(format!("`{text}` ends before it begins"));
        }
        Span::Calendar { from, to }
    };
    Ok(Window { text: text.to_owned(), zone: zone.to_owned(), span })
}

fn weekday(word: &str) -> Option<u32> {
    let word = word.to_ascii_lowercase();
    let index = DAYS.iter().position(|day| word.starts_with(day))?;
    let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"][index];
    full.starts_with(&word).then_some(u32::try_from(index).unwrap_or(0))
}

fn clock(word: &str) -> Option<u32> {
    let (hours, minutes) = word.split_once(':')?;
    let number =
        |text: &str| text.parse::<u32>().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    ((hours < 24 && minutes < 60) || (hours == 24 && minutes == 0)).then_some(hours * 60 + minutes)
}

fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let number = |text: &str, length: usize, range: std::ops::RangeInclusive<u32>| {
        text.len() == length && text.parse().is_ok_and(|number| range.contains(&number))
    };
    number(year, 4, 2000..=2999) && number(month, 2, 1..=12) && number(day, 2, 1..=31)
}

/// A name of the time zone database, or an abbreviation such as UTC. `UTC+3` is neither: PostgreSQL would take it for a
/// place three hours to the west.
fn is_zone(word: &str) -> bool {
    let is_abbreviation = word.chars().all(|c| c.is_ascii_alphabetic());
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c))
        && (is_abbreviation || word.contains('/'))
        && weekday(word).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(date: &str, weekday: u32, hour: u32) -> Local {
        Local { date: date.to_owned(), weekday, minute: hour * 60 }
    }

    #[test]
    fn a_week_end_goes_over_sunday_night() {
        let windows = parse("Fri 16:00 - Mon 07:00 Europe/Vienna").unwrap();
        let holds = |weekday, hour| windows[0].holds(&at("2026-11-27", weekday, hour));
        assert!(holds(5, 16) && holds(6, 3) && holds(7, 23) && holds(1, 6));
        assert!(!holds(5, 15) && !holds(1, 7) && !holds(3, 12));
        assert_eq!(windows[0].zone, "Europe/Vienna");
    }

    #[test]
    fn days_of_the_calendar_hold_to_their_end() {
        let windows = parse("2026-12-23 - 2027-01-02 UTC; Tuesday 09:00 - Tuesday 10:00 UTC").unwrap();
        assert!(windows[0].holds(&at("2026-12-23", 3, 0)) && windows[0].holds(&at("2027-01-02", 6, 23)));
        assert!(!windows[0].holds(&at("2026-12-22", 2, 23)) && !windows[0].holds(&at("2027-01-03", 7, 0)));
        assert!(windows[1].holds(&at("2026-01-01", 2, 9)) && !windows[1].holds(&at("2026-01-01", 2, 10)));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for text in [
            "always",
            "Fri 16:00 - Mon 07:00",
            "Fri - Mon UTC",
            "Fri 25:00 - Mon 07:00 UTC",
            "Fri 16:00 - Fri 16:00 UTC",
            "Fri 16:00 - Mon 07:00 UTC+3",
            "2026-13-01 - 2027-01-02 UTC",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("2027-01-02 - 2026-12-23 UTC").unwrap_err().contains("before it begins"));
        assert_eq!(parse(""), Ok(Vec::new()));
    }
}
