//! How a call's media did, as its timeline tells it: in milliseconds and points, and nothing that is not known.

use serde_json::{Value, json};
use trunkline_leg::MediaQuality;

/// The data of `media.quality`.
pub(crate) fn told(quality: &MediaQuality) -> Value {
    let ms = |us: u64| us as f64 / 1000.0;
    let points = |hundredths: u64| hundredths as f64 / 100.0;
    let mut data = json!({
        "packets_in": quality.packets_in,
        "lost_in": quality.lost_in,
        "jitter_in_ms": ms(quality.jitter_in_us),
        "packets_out": quality.packets_out,
    });
    if let Value::Object(data) = &mut data {
        let mut known = |is: bool, field: &str, value: Value| {
            if is {
                data.insert(field.to_owned(), value);
            }
        };
        known(quality.mos_in > 0, "mos_in", points(quality.mos_in).into());
        // Without a report of the far end nothing is known of what it heard.
        let reported = quality.mos_out > 0;
        known(reported, "lost_out", quality.lost_out.into());
        known(reported, "jitter_out_ms", ms(quality.jitter_out_us).into());
        known(reported, "mos_out", points(quality.mos_out).into());
        known(quality.round_trip_us > 0, "round_trip_ms", ms(quality.round_trip_us).into());
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_api::EventType;

    #[test]
    fn what_is_not_known_is_left_out() {
        let heard = MediaQuality {
            packets_in: 500,
            lost_in: 3,
            jitter_in_us: 1500,
            mos_in: 432,
            packets_out: 510,
            ..MediaQuality::default()
        };
        let expected =
            json!({ "packets_in": 500, "lost_in": 3, "jitter_in_ms": 1.5, "mos_in": 4.32, "packets_out": 510 });
        assert_eq!(told(&heard), expected);
        let both = MediaQuality { lost_out: 7, jitter_out_us: 250, mos_out: 401, round_trip_us: 73_250, ..heard };
        let data = told(&both);
        assert_eq!(data["round_trip_ms"], 73.25);
        assert_eq!((&data["lost_out"], &data["mos_out"]), (&json!(7), &json!(4.01)));
        let schema = EventType::MediaQuality.data_schema();
        assert!(data.as_object().unwrap().keys().all(|field| schema["properties"].get(field).is_some()), "{schema}");
    }
}
