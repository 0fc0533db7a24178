//! Tests of internationalised names, with and without feature `idna`.

use super::*;

#[cfg(feature = "idna")]
mod with_idna {
    use super::*;

    // rule A2, A5
    #[test]
    fn an_internationalised_name_has_a_labels_and_u_labels() {
        for (text, ascii, unicode) in [
            ("straße", "xn--strae-oqa", "straße"),
            ("Bücher.EXAMPLE.", "xn--bcher-kva.example", "bücher.example"),
            ("XN--BCHER-KVA.Example", "xn--bcher-kva.example", "bücher.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example", "bücher.example"),
            ("пример.рф", "xn--e1afmkfd.xn--p1ai", "пример.рф"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah", "例え.テスト"),
            ("例え.テスト。", "xn--r8jz45g.xn--zckzah", "例え.テスト"),
            ("βόλος.com", "xn--nxasmm1c.com", "βόλος.com"),
            ("ＥＸＡＭＰＬＥ．ｏｒｇ", "example.org", "example.org"),
        ] {
            assert_eq!(domain(text).as_ascii(), ascii);
            assert_eq!(domain(text).as_unicode(), unicode);
            assert_eq!(Domain::of_jid(&format!("jülia@{text}/ü")).unwrap(), domain(ascii));
        }
    }

    // rule A2, A3
    #[test]
    fn what_idna_forbids_is_refused() {
        for text in [
            "xn--a.example",        // no Punycode
            "xn--xn--bb5xxxa-ple",  // A-labels in an A-label
            "xn--.example",         // nothing encoded
            "xn--example-.org",     // decodes to ASCII
            "xn--99999999999",      // overflow
            "xn--bcher-kva.xn--a-", // ends in the delimiter
            "xn--ü",                // not ASCII behind the prefix
            "\u{301}a.example",     // begins with a combining mark
            "a\u{200d}b.example",   // joiner without context
            "אa.example",           // both directions in one label
            "\u{fffd}.example",     // disallowed
            "a\u{e000}.example",    // private use
        ] {
            assert_eq!(reason(text), Reason::Idna, "{text}");
        }
        assert_eq!(reason("例え。。テスト"), Reason::EmptyLabel);
        assert_eq!(reason("例え.。"), Reason::EmptyLabel);
        assert_eq!(reason("\u{ad}"), Reason::Empty);
        assert_eq!(reason("ü-.example"), Reason::Hyphen);
        assert_eq!(reason("-ü.example"), Reason::Hyphen);
        assert_eq!(reason("ü_a.example"), Reason::Character('_'));
        assert_eq!(reason("user＠example"), Reason::Character('@'));
        assert_eq!(reason("℀.example"), Reason::Character('/'));
        assert_eq!(reason(&format!("{}.example", "ü".repeat(60))), Reason::LabelTooLong);
        assert_eq!(reason("é.１２７.１"), Reason::NumericLastLabel);
    }

    // rule A1, A3
    #[test]
    fn digits_that_map_to_an_ipv4_literal_are_that_address() {
        assert_eq!(domain("１９２。０．2.１"), domain("192.0.2.1"));
        assert_eq!(reason("１２７.１"), Reason::NumericLastLabel);
    }

    // rule A5
    #[test]
    fn a_stream_name_must_convert_to_the_same_a_labels() {
        let error = domain("xn--bcher-kva.example").with_stream_name("büchér.example").unwrap_err();
        assert_eq!(error.reason, Reason::OtherDomain);
    }
}

#[cfg(not(feature = "idna"))]
mod without_idna {
    use super::*;

    // rule A2
    #[test]
    fn a_name_outside_ascii_is_an_error_that_names_the_feature() {
        for text in ["bücher.example", "１２７.０.０.１", "例え。テスト"] {
            let error = Domain::new(text).unwrap_err();
            assert_eq!(error.reason, Reason::FeatureOff);
            assert!(error.to_string().contains("feature `idna`"), "{error}");
        }
    }

    // rule A2, A5
    #[test]
    fn a_labels_are_taken_as_they_are() {
        assert_eq!(domain("XN--Bcher-KVA.example").as_ascii(), "xn--bcher-kva.example");
        assert_eq!(domain("XN--Bcher-KVA.example").as_unicode(), "xn--bcher-kva.example");
    }

    // rule A5
    #[test]
    fn a_stream_name_has_an_ascii_label_only_where_the_domain_has_the_same() {
        let domain = domain("xn--bcher-kva.example");
        for (text, why) in [
            ("bücher。example", Reason::OtherDomain),
            ("bücher.examplé", Reason::OtherDomain),
            ("bü<cher.example", Reason::Character('<')),
            ("bü\u{ffff}cher.example", Reason::Character('\u{ffff}')),
            ("bücher..example", Reason::OtherDomain),
        ] {
            assert_eq!(domain.clone().with_stream_name(text).unwrap_err().reason, why, "{text}");
        }
    }
}
