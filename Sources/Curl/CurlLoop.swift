internal import CCurl
internal import NIOConcurrencyHelpers

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The thread that drives libcurl. Others only leave commands in its inbox and wake it.
///
/// `@unchecked Sendable` is true because `inbox` is locked, `multi` is never replaced, and the rest is touched by the thread alone.
final class CurlLoop: @unchecked Sendable {
    enum Command: Sendable {
        case add(Transfer)
        case cancel(Transfer)
    }

    private struct Inbox {
        var commands: [Command] = []
        var isClosed = false
        var hasEnded = false
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    private let inbox = NIOLockedValueBox(Inbox())
    private let multi: UnsafeMutableRawPointer

    /// Transfers whose handle libcurl knows, by handle. What is in here outlives libcurl's use of it.
    private var active: [UnsafeMutableRawPointer: Transfer] = [:]
    /// Handles to use again. Connections are the multi handle's, so these are only memory.
    private var idle: [UnsafeMutableRawPointer] = []
    private static let idleMax = 16

    private static let isInitialised = hs_curl_global_init() == CURLE_OK

    init(connectionsPerHost: Int) {
        precondition(CurlLoop.isInitialised, "libcurl cannot start")
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl is out of memory") }
        self.multi = multi
        _ = hs_curl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connectionsPerHost)
        _ = hs_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connectionsPerHost * 2)
    }

    /// Starts the thread, which holds on to `self` until the inbox is closed and emptied.
    func start() {
        let context = Unmanaged.passRetained(self).toOpaque()
        #if canImport(Glibc)
            var thread = pthread_t()
            let code = pthread_create(&thread, nil, { CurlLoop.run($0) }, context)
            precondition(code == 0, "no thread for libcurl")
            pthread_detach(thread)
        #else
            var thread: pthread_t?
            let code = pthread_create(&thread, nil, { CurlLoop.run($0) }, context)
            precondition(code == 0, "no thread for libcurl")
            if let thread { pthread_detach(thread) }
        #endif
    }

    private static func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        Unmanaged<CurlLoop>.fromOpaque(context).takeRetainedValue().run()
        return nil
    }

    func send(_ command: Command) {
        let isOpen = inbox.withLockedValue { inbox in
            if !inbox.isClosed {
                inbox.commands.append(command)
                curl_multi_wakeup(multi)  // under the lock: the handle is freed only once the inbox is closed
            }
            return !inbox.isClosed
        }
        if !isOpen, case .add(let transfer) = command { transfer.finish(.failure(.stopped)) }
    }

    /// Takes no more commands; `closer` is resumed when the thread has ended.
    func close(_ closer: CheckedContinuation<Void, Never>? = nil) {
        let hasEnded = inbox.withLockedValue { inbox in
            if !inbox.isClosed {
                inbox.isClosed = true
                curl_multi_wakeup(multi)
            }
            if !inbox.hasEnded, let closer { inbox.closers.append(closer) }
            return inbox.hasEnded
        }
        if hasEnded { closer?.resume() }
    }

    // MARK: On the thread

    private func run() {
        while true {
            let (commands, isClosed) = inbox.withLockedValue { inbox in
                defer { inbox.commands.removeAll(keepingCapacity: true) }
                return (inbox.commands, inbox.isClosed)
            }
            for command in commands { perform(command) }
            if isClosed { break }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            finishTransfers()
            // libcurl's own timers end the wait early; without any, a wake-up does.
            if curl_multi_poll(multi, nil, 0, 60_000, nil) != CURLM_OK { usleep(10_000) }
        }
        for easy in Array(active.keys) { remove(easy)?.finish(.failure(.stopped)) }
        for easy in idle { curl_easy_cleanup(easy) }
        curl_multi_cleanup(multi)
        let closers = inbox.withLockedValue { inbox in
            inbox.hasEnded = true
            defer { inbox.closers.removeAll() }
            return inbox.closers
        }
        for closer in closers { closer.resume() }
    }

    private func perform(_ command: Command) {
        switch command {
        case .add(let transfer):
            if transfer.isCancelled { transfer.finish(.failure(.cancelled)) } else { add(transfer) }
        case .cancel(let transfer):
            transfer.isCancelled = true
            guard let easy = transfer.easy else { return }
            remove(easy)?.finish(.failure(.cancelled))
        }
    }

    private func add(_ transfer: Transfer) {
        guard let easy = idle.popLast() ?? curl_easy_init() else {
            return transfer.finish(.failure(CurlError(.connect, "libcurl is out of memory")))
        }
        guard transfer.prepare(easy), curl_multi_add_handle(multi, easy) == CURLM_OK else {
            keep(easy)
            return transfer.finish(.failure(CurlError(.malformed, "the request cannot be sent: its URL or a header is malformed")))
        }
        transfer.easy = easy
        active[easy] = transfer
    }

    private func finishTransfers() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            let code = hs_curl_result(message)
            guard let transfer = active[easy] else { continue }
            let result = transfer.result(code, of: easy)
            _ = remove(easy)
            transfer.finish(result)
        }
    }

    /// Takes the handle from libcurl; a transfer under way loses its connection.
    private func remove(_ easy: UnsafeMutableRawPointer) -> Transfer? {
        curl_multi_remove_handle(multi, easy)
        keep(easy)
        let transfer = active.removeValue(forKey: easy)
        transfer?.easy = nil
        return transfer
    }

    private func keep(_ easy: UnsafeMutableRawPointer) {
        guard idle.count < CurlLoop.idleMax else { return curl_easy_cleanup(easy) }
        curl_easy_reset(easy)
        idle.append(easy)
    }
}

extension CurlError {
    static var cancelled: CurlError { CurlError(.cancelled, "the caller was cancelled") }
    static var stopped: CurlError { CurlError(.stopped, "the HTTP driver was shut down") }
}
