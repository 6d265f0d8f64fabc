//! Short ramps, so that cutting or starting sound in mid-wave makes no click.

/// Ramps from full level to silence over the whole of `pcm`.
pub fn fade_out(pcm: &mut [i16]) {
    let length = pcm.len() as i32;
    for (sample, left) in pcm.iter_mut().zip((0..length).rev()) {
        *sample = (i32::from(*sample) * left / length) as i16;
    }
}

/// Ramps from silence to full level over the whole of `pcm`.
pub fn fade_in(pcm: &mut [i16]) {
    let length = pcm.len() as i32;
    for (sample, done) in pcm.iter_mut().zip(0..length) {
        *sample = (i32::from(*sample) * done / length) as i16;
    }
}

/// Replaces `pcm` by a mix that starts as `pcm` and ends as `next`, over the shorter of the two.
pub fn cross_fade(pcm: &mut [i16], next: &[i16]) {
    let length = pcm.len().min(next.len()) as i32;
    for ((sample, next), done) in pcm.iter_mut().zip(next).zip(1..) {
        *sample = ((i32::from(*sample) * (length - done) + i32::from(*next) * done) / length) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_end_where_they_say() {
        let mut out = [1000; 40];
        fade_out(&mut out);
        assert_eq!((out[0], out[39]), (975, 0));
        let mut inward = [-1000; 40];
        fade_in(&mut inward);
        assert_eq!((inward[0], inward[39]), (0, -975));
        let mut mix = [1000; 4];
        cross_fade(&mut mix, &[0; 4]);
        assert_eq!(mix, [750, 500, 250, 0]);
        fade_out(&mut []);
    }
}
