//! Which headers are believed, and how paths are read.

use http::HeaderName;

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn readings(text: &str) -> Result<Vec<String>, &'static str> {
    Path::parse(text).map(|path| path.readings().map(ToOwned::to_owned).collect())
}

#[test]
fn each_proxy_is_read_by_its_own_headers() {
    let nginx = read(
        ProxyKind::Nginx,
        &headers(&[
            ("x-original-uri", "/pay?x=1"),
            ("x-original-method", "POST"),
            ("x-original-host", "App.Example:8443"),
            ("x-real-ip", "203.0.113.7"),
            ("x-forwarded-for", "1.1.1.1"),
        ]),
    )
    .unwrap();
    assert_eq!(nginx.path, Some(Path::parse("/pay").unwrap()));
    assert_eq!(nginx.host.as_deref(), Some("app.example"));
    assert_eq!(nginx.address, Some("203.0.113.7".parse().unwrap()));

    let ingress = headers(&[("x-original-url", "https://app.example/pay?x=1")]);
    let ingress = read(ProxyKind::Nginx, &ingress).unwrap();
    assert_eq!(ingress.path, Some(Path::parse("/pay").unwrap()));

    for kind in [ProxyKind::Caddy, ProxyKind::Traefik, ProxyKind::Haproxy] {
        let read = read(
            kind,
            &headers(&[
                ("x-forwarded-uri", "/pay"),
                ("x-forwarded-method", "GET"),
                ("x-forwarded-host", "[2001:db8::1]"),
                ("x-forwarded-for", "198.51.100.9, 203.0.113.7"),
            ]),
        )
        .unwrap();
        assert_eq!(read.path, Some(Path::parse("/pay").unwrap()));
        assert_eq!(read.host.as_deref(), Some("[2001:db8::1]"));
        assert_eq!(read.address, Some("203.0.113.7".parse().unwrap()));
    }
    assert_eq!(
        read(ProxyKind::Nginx, &HeaderMap::new()),
        Ok(Forwarded::default())
    );
}

#[test]
fn doubled_and_foreign_headers_are_refused_by_name() {
    let cases = [
        (
            ProxyKind::Nginx,
            &[("x-original-uri", "/a"), ("x-original-uri", "/a")][..],
            "header `x-original-uri` was given more than once",
        ),
        (
            ProxyKind::Nginx,
            &[("x-original-uri", "/a"), ("x-original-url", "http://h/b")],
            "headers `x-original-uri` and `x-original-url` both name the path",
        ),
        (
            ProxyKind::Nginx,
            &[("x-original-method", "GET"), ("x-original-method", "GET")],
            "header `x-original-method` was given more than once",
        ),
        (
            ProxyKind::Nginx,
            &[("x-original-uri", "/a"), ("x-forwarded-uri", "/b")],
            "header `x-forwarded-uri` belongs to another kind of proxy than the one configured",
        ),
        (
            ProxyKind::Caddy,
            &[("x-forwarded-uri", "/a"), ("x-original-uri", "/b")],
            "header `x-original-uri` belongs to another kind of proxy than the one configured",
        ),
        (
            ProxyKind::Traefik,
            &[("x-forwarded-host", "a"), ("x-forwarded-host", "b")],
            "header `x-forwarded-host` was given more than once",
        ),
        (
            ProxyKind::Haproxy,
            &[("x-rewrite-url", "/b")],
            "header `x-rewrite-url` belongs to another kind of proxy than the one configured",
        ),
        (
            ProxyKind::Nginx,
            &[("x-original-uri", "admin")],
            "header `x-original-uri` cannot be read: a path begins with `/`",
        ),
    ];
    for (kind, lines, expected) in cases {
        let refused = read(kind, &headers(lines)).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

#[test]
fn a_plain_path_has_one_reading_and_a_crooked_one_several() {
    let cases: [(&str, &[&str]); 11] = [
        ("/a/b/?q=/../c", &["/a/b/"]),
        ("", &["/"]),
        ("?q", &["/"]),
        ("https://host", &["/"]),
        ("/a%62", &["/ab"]),
        ("//a///b", &["/a/b"]),
        ("/public/../admin", &["/admin", "/public/../admin"]),
        ("/public/%2e%2E/admin/", &["/admin/", "/public/../admin/"]),
        ("/public%2f..%2fadmin", &["/admin", "/public%2f..%2fadmin"]),
        ("/public\\..\\admin", &["/admin", "/public\\..\\admin"]),
        ("/public/..;x=1/admin", &["/admin", "/public/..;x=1/admin"]),
    ];
    for (text, expected) in cases {
        assert_eq!(readings(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_is_no_path_is_refused_with_the_reason() {
    let long = format!("/{}", "a".repeat(limit::PATH_BYTES_MAX));
    let cases = [
        ("admin", "a path begins with `/`"),
        ("*", "a path begins with `/`"),
        ("/%", "a `%` is followed by two hexadecimal digits"),
        ("/%2", "a `%` is followed by two hexadecimal digits"),
        ("/%zz", "a `%` is followed by two hexadecimal digits"),
        ("/%00", "a path holds no control characters"),
        ("/a%0d%0ab", "a path holds no control characters"),
        (&long, "longer than 8192 bytes"),
    ];
    for (text, expected) in cases {
        assert_eq!(readings(text), Err(expected), "{text:.20}");
    }
}

#[test]
fn peers_are_known_by_address_and_network() {
    let peers = Peers::parse(["127.0.0.0/8", "::1", "10.1.2.3", "fd00::/8"]).unwrap();
    for (peer, expected) in [
        ("127.0.0.9", true),
        ("::ffff:127.0.0.1", true),
        ("::1", true),
        ("::2", false),
        ("10.1.2.3", true),
        ("10.1.2.4", false),
        ("fd12::1", true),
        ("fe80::1", false),
    ] {
        assert_eq!(peers.contains(peer.parse().unwrap()), expected, "{peer}");
    }
    let everyone = Peers::parse(["0.0.0.0/0"]).unwrap();
    assert!(everyone.contains("8.8.8.8".parse().unwrap()));
    assert!(!everyone.contains("::1".parse().unwrap()));
    for text in ["10.0.0.0/33", "::/129", "proxy.local", "10.0.0.0/", ""] {
        assert_eq!(Peers::parse([text]), Err(text.to_owned()));
    }
}
