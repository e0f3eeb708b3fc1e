//! When a tag was pushed.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::quote::quoted;

/// A moment in whole seconds, which is what every kind of storage keeps: file systems, archives
/// and buckets. Printed as `2024-05-06T07:08:09Z` (RFC 3339, in UTC, years 0000 to 9999).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PushTime(i64);

/// A text that is no time of a push.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time of the form 2024-05-06T07:08:09Z")]
pub struct ParsePushTimeError(String);

/// 0000-01-01T00:00:00Z and 9999-12-30T22:00:00Z, jiff's last hour (seconds since 1970).
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_207_200;

impl PushTime {
    /// The second in which a moment lies, given in seconds since 1970, which may be negative. What
    /// lies before the year 0 or after 9999 becomes the nearest second within.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(*RANGE.start(), *RANGE.end()))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0
    }
}

impl From<Timestamp> for PushTime {
    fn from(time: Timestamp) -> Self {
        // jiff counts towards zero; the second in which a moment lies is that before it.
        Self::from_unix(time.as_nanosecond().div_euclid(1_000_000_000) as i64)
    }
}

impl fmt::Display for PushTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_second(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{}Z", Offset::UTC.to_datetime(time).strftime("%Y-%m-%dT%H:%M:%S"))
    }
}

impl fmt::Debug for PushTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PushTime {
    type Err = ParsePushTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParsePushTimeError(quoted(text));
        let is_form = text.len() == 20
            && text.bytes().zip(b"0000-00-00T00:00:00Z").all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                form => byte == *form,
            });
        if !is_form {
            return Err(refused());
        }
        let time: DateTime = text[..19].parse().map_err(|_| refused())?;
        let time = Offset::UTC.to_timestamp(time).map_err(|_| refused())?;
        // A leap second is no second of its own.
        let time = Self(time.as_second());
        if time.to_string() == text { Ok(time) } else { Err(refused()) }
    }
}

impl Serialize for PushTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PushTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_in_which_a_moment_lies() {
        let second = |nanosecond| PushTime::from(Timestamp::from_nanosecond(nanosecond).unwrap());
        assert_eq!(second(1_999_999_999).unix(), 1);
        assert_eq!(second(-1).unix(), -1);
        assert_eq!(second(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(PushTime::from_unix(i64::MIN).to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(PushTime::from_unix(i64::MAX).to_string(), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn one_form_and_no_other() {
        for good in ["1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "0000-01-01T00:00:00Z"] {
            assert_eq!(good.parse::<PushTime>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-05-06T07:08:60Z",
            "2024-05-06T24:00:00Z",
            "2024-05-06T07:08:09.5Z",
            "2024-05-06T07:08:09+00:00",
            "2024-05-06 07:08:09Z",
            "2024-05-06t07:08:09z",
            "12024-05-06T07:08:9Z",
        ] {
            assert!(bad.parse::<PushTime>().is_err(), "{bad}");
        }
    }
}
