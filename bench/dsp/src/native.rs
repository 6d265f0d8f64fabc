//! The baselines that are C libraries of Debian's, opened at run time: who does not measure needs none of them.
#![allow(unsafe_code, reason = "Debian's C libraries are called to be compared with")]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;

use anyhow::{Context as _, ensure};
use libloading::{Library, Symbol};

/// The baselines' libraries.
pub(crate) struct Native {
    speex: Library,
    spandsp: Library,
    opus: Library,
}

type Make = unsafe extern "C" fn(c_int, c_int) -> *mut c_void;
/// Encodes a frame into a payload and returns its bytes.
pub(crate) type EncodeFrame = Box<dyn FnMut(&[i16], &mut [u8]) -> usize>;
/// Decodes a payload and returns the samples.
pub(crate) type DecodeFrame = Box<dyn FnMut(&[u8], &mut [i16]) -> usize>;

type Drop1 = unsafe extern "C" fn(*mut c_void);

impl Native {
    /// Opens them.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let open = |name: &str| {
            // SAFETY: these libraries run no code of note when they are loaded.
            unsafe { Library::new(name) }
                .with_context(|| format!("{name} is missing; install libspeexdsp-dev, libspandsp-dev and libopus-dev"))
        };
        Ok(Self { speex: open("libspeexdsp.so.1")?, spandsp: open("libspandsp.so.2")?, opus: open("libopus.so.0")? })
    }

    /// speexdsp's preprocessor as a denoiser (-25 dB, as the quality figures were taken): 20 ms frames in place.
    pub(crate) fn speex_denoiser(&self, rate: u32) -> anyhow::Result<impl FnMut(&mut [i16])> {
        let frame = rate as usize / 50;
        // SAFETY: signatures as in speex/speex_preprocess.h; the state lives as long as the closure uses it, and the
        // library as long as `self`, which outlives every measurement.
        unsafe {
            let make: Symbol<'_, Make> = self.speex.get(b"speex_preprocess_state_init\0")?;
            let run: Symbol<'_, unsafe extern "C" fn(*mut c_void, *mut i16) -> c_int> =
                self.speex.get(b"speex_preprocess_run\0")?;
            let control: Symbol<'_, unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int> =
                self.speex.get(b"speex_preprocess_ctl\0")?;
            let drop_state: Symbol<'_, Drop1> = self.speex.get(b"speex_preprocess_state_destroy\0")?;
            let state = Owned { state: make(frame as c_int, rate as c_int), drop_state: *drop_state };
            ensure!(!state.state.is_null(), "speexdsp made no preprocessor");
            let mut suppress: c_int = -25;
            control(state.state, 8, (&raw mut suppress).cast()); // SPEEX_PREPROCESS_SET_NOISE_SUPPRESS
            let run = *run;
            Ok(move |pcm: &mut [i16]| {
                assert_eq!(pcm.len(), frame);
                run(state.pointer(), pcm.as_mut_ptr());
            })
        }
    }

    /// speexdsp's resampler at `quality`, 0..=10.
    pub(crate) fn speex_resampler(
        &self,
        from: u32,
        to: u32,
        quality: i32,
    ) -> anyhow::Result<impl FnMut(&[i16], &mut [i16]) -> usize> {
        type Init = unsafe extern "C" fn(c_uint, c_uint, c_uint, c_int, *mut c_int) -> *mut c_void;
        type Process =
            unsafe extern "C" fn(*mut c_void, c_uint, *const i16, *mut c_uint, *mut i16, *mut c_uint) -> c_int;
        // SAFETY: signatures as in speex/speex_resampler.h; lifetimes as above.
        unsafe {
            let make: Symbol<'_, Init> = self.speex.get(b"speex_resampler_init\0")?;
            let run: Symbol<'_, Process> = self.speex.get(b"speex_resampler_process_int\0")?;
            let drop_state: Symbol<'_, Drop1> = self.speex.get(b"speex_resampler_destroy\0")?;
            let mut error = 0;
            let state = Owned { state: make(1, from, to, quality, &raw mut error), drop_state: *drop_state };
            ensure!(!state.state.is_null(), "speexdsp made no resampler: {error}");
            let run = *run;
            Ok(move |pcm: &[i16], out: &mut [i16]| {
                let (mut taken, mut made) = (pcm.len() as c_uint, out.len() as c_uint);
                run(state.pointer(), 0, pcm.as_ptr(), &raw mut taken, out.as_mut_ptr(), &raw mut made);
                made as usize
            })
        }
    }

    /// spandsp's packet loss concealment: `true` conceals a frame, `false` shows it a good one.
    pub(crate) fn spandsp_plc(&self) -> anyhow::Result<impl FnMut(&mut [i16], bool)> {
        type Init = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
        type Run = unsafe extern "C" fn(*mut c_void, *mut i16, c_int) -> c_int;
        // SAFETY: signatures as in spandsp/plc.h; lifetimes as above.
        unsafe {
            let make: Symbol<'_, Init> = self.spandsp.get(b"plc_init\0")?;
            let receive: Symbol<'_, Run> = self.spandsp.get(b"plc_rx\0")?;
            let fill: Symbol<'_, Run> = self.spandsp.get(b"plc_fillin\0")?;
            let free: Symbol<'_, unsafe extern "C" fn(*mut c_void) -> c_int> = self.spandsp.get(b"plc_free\0")?;
            let state = OwnedInt { state: make(null_mut()), free: *free };
            ensure!(!state.state.is_null(), "spandsp made no concealment");
            let (receive, fill) = (*receive, *fill);
            Ok(move |pcm: &mut [i16], lost: bool| {
                let run = if lost { fill } else { receive };
                run(state.pointer(), pcm.as_mut_ptr(), pcm.len() as c_int);
            })
        }
    }

    /// spandsp's G.722 at 64 kbit/s: encodes and decodes one frame of 16 kHz sound.
    pub(crate) fn spandsp_g722(&self) -> anyhow::Result<(EncodeFrame, DecodeFrame)> {
        type Init = unsafe extern "C" fn(*mut c_void, c_int, c_int) -> *mut c_void;
        type Encode = unsafe extern "C" fn(*mut c_void, *mut u8, *const i16, c_int) -> c_int;
        type Decode = unsafe extern "C" fn(*mut c_void, *mut i16, *const u8, c_int) -> c_int;
        // SAFETY: signatures as in spandsp/g722.h; lifetimes as above.
        unsafe {
            let free =
                |name: &[u8]| self.spandsp.get::<unsafe extern "C" fn(*mut c_void) -> c_int>(name).map(|free| *free);
            let encoder_init: Symbol<'_, Init> = self.spandsp.get(b"g722_encode_init\0")?;
            let decoder_init: Symbol<'_, Init> = self.spandsp.get(b"g722_decode_init\0")?;
            let encode = *self.spandsp.get::<Encode>(b"g722_encode\0")?;
            let decode = *self.spandsp.get::<Decode>(b"g722_decode\0")?;
            let encoder = OwnedInt { state: encoder_init(null_mut(), 64_000, 0), free: free(b"g722_encode_free\0")? };
            let decoder = OwnedInt { state: decoder_init(null_mut(), 64_000, 0), free: free(b"g722_decode_free\0")? };
            ensure!(!encoder.state.is_null() && !decoder.state.is_null(), "spandsp made no G.722 codec");
            Ok((
                Box::new(move |pcm: &[i16], out: &mut [u8]| {
                    assert!(out.len() * 2 >= pcm.len());
                    encode(encoder.pointer(), out.as_mut_ptr(), pcm.as_ptr(), pcm.len() as c_int) as usize
                }),
                Box::new(move |payload: &[u8], out: &mut [i16]| {
                    assert!(out.len() >= payload.len() * 2);
                    decode(decoder.pointer(), out.as_mut_ptr(), payload.as_ptr(), payload.len() as c_int) as usize
                }),
            ))
        }
    }

    /// libopus for voice at `rate`, `bitrate` and `complexity`: encodes and decodes one 20 ms frame.
    pub(crate) fn opus(&self, rate: u32, bitrate: i32, complexity: i32) -> anyhow::Result<(EncodeFrame, DecodeFrame)> {
        type EncoderCreate = unsafe extern "C" fn(c_int, c_int, c_int, *mut c_int) -> *mut c_void;
        type DecoderCreate = unsafe extern "C" fn(c_int, c_int, *mut c_int) -> *mut c_void;
        type Encode = unsafe extern "C" fn(*mut c_void, *const i16, c_int, *mut u8, c_int) -> c_int;
        type Decode = unsafe extern "C" fn(*mut c_void, *const u8, c_int, *mut i16, c_int, c_int) -> c_int;
        type Control = unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int;
        const VOIP: c_int = 2048;
        const SET_BITRATE: c_int = 4002;
        const SET_COMPLEXITY: c_int = 4010;
        // SAFETY: signatures as in opus/opus.h; lifetimes as above.
        unsafe {
            let make_encoder: Symbol<'_, EncoderCreate> = self.opus.get(b"opus_encoder_create\0")?;
            let make_decoder: Symbol<'_, DecoderCreate> = self.opus.get(b"opus_decoder_create\0")?;
            let control: Symbol<'_, Control> = self.opus.get(b"opus_encoder_ctl\0")?;
            let encode = *self.opus.get::<Encode>(b"opus_encode\0")?;
            let decode = *self.opus.get::<Decode>(b"opus_decode\0")?;
            let drop_encoder = *self.opus.get::<Drop1>(b"opus_encoder_destroy\0")?;
            let drop_decoder = *self.opus.get::<Drop1>(b"opus_decoder_destroy\0")?;
            let mut error = 0;
            let encoder =
                Owned { state: make_encoder(rate as c_int, 1, VOIP, &raw mut error), drop_state: drop_encoder };
            let decoder = Owned { state: make_decoder(rate as c_int, 1, &raw mut error), drop_state: drop_decoder };
            ensure!(!encoder.state.is_null() && !decoder.state.is_null(), "libopus made no codec: {error}");
            control(encoder.state, SET_BITRATE, bitrate);
            control(encoder.state, SET_COMPLEXITY, complexity);
            Ok((
                Box::new(move |pcm: &[i16], out: &mut [u8]| {
                    encode(encoder.pointer(), pcm.as_ptr(), pcm.len() as c_int, out.as_mut_ptr(), out.len() as c_int)
                        .max(0) as usize
                }),
                Box::new(move |payload: &[u8], out: &mut [i16]| {
                    let (bytes, room) = (payload.len() as c_int, out.len() as c_int);
                    decode(decoder.pointer(), payload.as_ptr(), bytes, out.as_mut_ptr(), room, 0).max(0) as usize
                }),
            ))
        }
    }

    /// Version of libopus, for the results.
    pub(crate) fn opus_version(&self) -> String {
        // SAFETY: returns a static C string.
        unsafe {
            self.opus.get::<unsafe extern "C" fn() -> *const c_char>(b"opus_get_version_string\0").map_or_else(
                |_| String::new(),
                |version| std::ffi::CStr::from_ptr(version()).to_string_lossy().into_owned(),
            )
        }
    }
}

/// A C object that is given back when the measurement is over.
struct Owned {
    state: *mut c_void,
    drop_state: Drop1,
}

impl Owned {
    /// By a method, so that a closure captures the object that will be given back and not only its pointer.
    const fn pointer(&self) -> *mut c_void {
        self.state
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by the matching constructor and given back once.
        unsafe { (self.drop_state)(self.state) }
    }
}

/// The same for libraries whose destructors answer.
struct OwnedInt {
    state: *mut c_void,
    free: unsafe extern "C" fn(*mut c_void) -> c_int,
}

impl OwnedInt {
    const fn pointer(&self) -> *mut c_void {
        self.state
    }
}

impl Drop for OwnedInt {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe {
            (self.free)(self.state);
        }
    }
}
