//! Parameters of Opus in `a=fmtp` (RFC 7587 6.1).

use trunkline_leg::{Codec, OpusParameters};

/// What `a=fmtp` of the far end asks for; what it does not say, or says wrongly, is as RFC 7587 has it.
pub(crate) fn parse(format: &str) -> OpusParameters {
    let mut asked = OpusParameters::default();
    for parameter in format.split(';').take(32) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let Ok(value) = value.trim().parse::<u32>() else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "useinbandfec" => asked.fec = value == 1,
            "usedtx" => asked.dtx = value == 1,
            "maxplaybackrate" => asked.max_playback_rate = value.clamp(8000, 48_000),
            "maxaveragebitrate" => asked.max_bitrate = Some(value.clamp(6000, 510_000)),
            _ => {}
        }
    }
    asked
}

/// What we ask for: no more than we play, one channel, redundancy against loss, and packets in pauses too, which a
/// recogniser hears better than what would stand in for them.
pub(crate) fn ours() -> String {
    let rate = Codec::Opus.sample_rate();
    format!("maxplaybackrate={rate};sprop-maxcapturerate={rate};stereo=0;sprop-stereo=0;useinbandfec=1;usedtx=0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_and_the_rest_is_as_the_standard_says() {
        let asked = parse("minptime=10; useinbandfec=1;UseDTX=1 ;maxplaybackrate=16000;maxaveragebitrate=20000;cbr=0");
        let max_bitrate = Some(20_000);
        assert_eq!(asked, OpusParameters { fec: true, dtx: true, max_playback_rate: 16_000, max_bitrate });
        assert_eq!(parse(""), OpusParameters::default());
        assert_eq!(parse("useinbandfec=x;usedtx;=;;maxplaybackrate=-1"), OpusParameters::default());
        assert_eq!(parse("maxplaybackrate=4000000;maxaveragebitrate=1").max_playback_rate, 48_000);
        assert_eq!(parse("maxaveragebitrate=1").max_bitrate, Some(6000));
        assert!(parse(&ours()).fec && !parse(&ours()).dtx);
    }
}
