#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    xmpp_connect::fuzzing::system_file(input);
});
