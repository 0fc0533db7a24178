//! What Linux knows of the data that a TCP connection has sent: asked for by `sock_diag`, which sends nothing.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use socket2::SockRef;

use super::SendState;

/// `SOCK_DIAG_BY_FAMILY` (`linux/sock_diag.h`), the type of the question and of the answer.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` (`linux/netlink.h`).
const REQUEST: u16 = 1;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `INET_DIAG_INFO` (`linux/inet_diag.h`): the attribute that holds the `tcp_info`.
const INFO: u16 = 2;
/// The length of `nlmsghdr`, and of `inet_diag_msg` behind it.
const HEADER: usize = 16;
const MESSAGE: usize = 72;
/// Where `idiag_wqueue` is in `inet_diag_msg`.
const WRITE_QUEUE: usize = 60;

/// Asks the kernel. `None` if it does not say: it lacks the module, the program may not ask, or the connection has ended.
pub(super) fn send_state(tcp: &TcpStream) -> Option<SendState> {
    let question = question(tcp.local_addr().ok()?, tcp.peer_addr().ok()?, interface(tcp)?);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(netlink::SOCK_DIAG);
    let diagnosis = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol).ok()?;
    // The answer is there when this returns.
    send(&diagnosis, &question, SendFlags::empty()).ok()?;
    let mut answer = [0; 1024];
    let (length, _) = recv(&diagnosis, &mut answer, RecvFlags::empty()).ok()?;
    read(answer.get(..length)?)
}

/// The index of the interface that the socket is bound to, 0 for none. The kernel finds a bound socket only by it.
fn interface(tcp: &TcpStream) -> Option<u32> {
    let socket = SockRef::from(tcp);
    match socket.device().ok()? {
        Some(name) => rustix::net::netdevice::name_to_index(tcp, std::str::from_utf8(&name).ok()?).ok(),
        None => Some(0),
    }
}

/// An `nlmsghdr` and an `inet_diag_req_v2`.
fn question(local: SocketAddr, peer: SocketAddr, interface: u32) -> Vec<u8> {
    /// `AF_INET` and `AF_INET6` of Linux.
    const FAMILIES: (u8, u8) = (2, 10);
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => [address.octets(), [0; 4], [0; 4], [0; 4]].concat(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let family = if local.is_ipv4() { FAMILIES.0 } else { FAMILIES.1 };
    let all_states = u32::MAX;
    let any_cookie = [u8::MAX; 8];
    let request = [
        &[family, TCP, 1 << (INFO - 1), 0][..],
        &all_states.to_ne_bytes(),
        &local.port().to_be_bytes(),
        &peer.port().to_be_bytes(),
        &address(local.ip()),
        &address(peer.ip()),
        &interface.to_ne_bytes(),
        &any_cookie,
    ]
    .concat();
    let length = u32::try_from(HEADER + request.len()).unwrap_or_default();
    let header = [&length.to_ne_bytes()[..], &BY_FAMILY.to_ne_bytes(), &REQUEST.to_ne_bytes(), &[0; 8]];
    [header.concat(), request].concat()
}

/// Reads an `nlmsghdr`, an `inet_diag_msg` and the attributes behind it.
fn read(answer: &[u8]) -> Option<SendState> {
    if u16_at(answer, 4)? != BY_FAMILY {
        return None;
    }
    let queued = u32_at(answer, HEADER + WRITE_QUEUE)?;
    let mut attributes = answer.get(HEADER + MESSAGE..)?;
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        if u16_at(attributes, 2)? == INFO {
            return of_tcp_info(attributes.get(4..length)?, queued);
        }
        // Aligned to four bytes. None is shorter than its own header.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// Reads a `tcp_info` (`linux/tcp.h`). Newer kernels add fields at its end only.
fn of_tcp_info(info: &[u8], queued: u32) -> Option<SendState> {
    let milliseconds = |at| Some(Duration::from_millis(u32_at(info, at)?.into()));
    Some(SendState {
        queued,
        in_flight: u32_at(info, 24)?,
        probes: *info.get(3)?,
        backoff: *info.get(4)?,
        retransmission_timeout: Duration::from_micros(u32_at(info, 8)?.into()),
        since_sent: milliseconds(44)?,
        since_acknowledgement: milliseconds(56)?,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[expect(clippy::disallowed_methods, reason = "loopback")]
    fn pair(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    // rule G6
    #[test]
    fn the_kernel_says_what_is_not_acknowledged() {
        let (mut ours, mut theirs) = pair("127.0.0.1:0");
        let state = send_state(&ours).expect("sock_diag answers");
        assert_eq!((state.queued, state.in_flight), (0, 0));
        ours.write_all(b"hello").unwrap();
        theirs.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(send_state(&ours).unwrap().queued, 0, "acknowledged");

        // A peer that does not read: its system acknowledges what it has room for, and the rest waits.
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; 65_536]).is_ok() {}
        assert!(send_state(&ours).unwrap().queued > 0);

        // Bound to an interface.
        SockRef::from(&ours).bind_device(Some(b"lo")).unwrap();
        assert!(send_state(&ours).unwrap().queued > 0);
    }

    // rule G6
    #[test]
    fn a_connection_that_has_ended_has_no_state() {
        let (ours, theirs) = pair("127.0.0.1:0");
        SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        while ours.peer_addr().is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(send_state(&ours), None);
    }

    // rule G6
    #[test]
    fn answers_that_are_short_or_of_another_kind_say_nothing() {
        let mut info = [0; 104];
        (info[3], info[4]) = (1, 2);
        for (at, value) in [(8, 800_000_u32), (24, 3), (44, 50), (56, 4_000)] {
            info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let attribute = |kind: u16, value: &[u8]| {
            let length = u16::try_from(4 + value.len()).unwrap();
            let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value, &padding].concat()
        };
        let mut message = [0; HEADER + MESSAGE];
        message[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        message[HEADER + WRITE_QUEUE..][..4].copy_from_slice(&9_u32.to_ne_bytes());
        let answer = [&message[..], &attribute(8, &[0]), &attribute(INFO, &info)].concat();
        let expected = SendState {
            queued: 9,
            in_flight: 3,
            probes: 1,
            backoff: 2,
            retransmission_timeout: Duration::from_millis(800),
            since_sent: Duration::from_millis(50),
            since_acknowledgement: Duration::from_secs(4),
        };
        assert_eq!(read(&answer), Some(expected));
        for length in 0..answer.len() {
            assert_eq!(read(&answer[..length]), None, "{length}");
        }
        let mut error = answer.clone();
        error[4] = 2;
        assert_eq!(read(&error), None, "NLMSG_ERROR");
        let mut endless = answer;
        endless[HEADER + MESSAGE..].fill(0);
        assert_eq!(read(&endless), None, "attributes without length");
    }
}
