//! Any datagram as RTCP: it is refused, or what was learned of it is about us and within what its fields can say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_media::rtcp;

fuzz_target!(|input: (u32, &[u8])| {
    let (our_ssrc, data) = input;
    let Some(learned) = rtcp::read(data, our_ssrc) else { return };
    if let Some(about) = learned.about_us {
        assert!(about.lost < 0x80_0000);
    }
    if let Some(voip) = learned.voip {
        assert_eq!(voip.ssrc, our_ssrc);
        assert!(voip.r_factor != Some(127) && voip.mos_lq != Some(127) && voip.mos_cq != Some(127));
    }
    assert!(learned.echo.is_none_or(|(last, _)| last != 0));
});
