import Foundation

/// What libFuzzer calls: one program for all targets, of which the variable `FUZZ_TARGET` names one. `deploy/fuzz` builds and runs it.
///
/// A target is a function that stops the program when what it is given shows a mistake: by a trap, by what the sanitizer sees, or by
/// `check`, which holds the result against a second, slower way to it.
enum Fuzz {
    typealias Target = @Sendable ([UInt8]) -> Void

    static let targets: [String: Target] = [
        "webhook": webhookBody, "records": records, "signature": signature, "query": query, "cursor": cursor, "headers": headers,
        "document": document,
    ]

    static let target: Target = {
        guard let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"], let target = targets[name] else {
            print("FUZZ_TARGET must be one of: \(targets.keys.sorted().joined(separator: " "))")
            exit(64)
        }
        return target
    }()

    static func check(_ condition: Bool, _ what: @autoclosure () -> String) {
        if !condition { fail(what()) }
    }

    /// Not `fatalError`, whose own report the sanitizer would take for the mistake.
    static func fail(_ what: String) -> Never {
        FileHandle.standardError.write(Data("Wrong: \(what)\n".utf8))
        abort()
    }

    /// The input in `count` parts, cut at line ends, the last with the rest; missing ones are empty.
    static func parts(_ input: [UInt8], _ count: Int) -> [[UInt8]] {
        var parts = input.split(separator: UInt8(ascii: "\n"), maxSplits: count - 1, omittingEmptySubsequences: false).map { Array($0) }
        while parts.count < count { parts.append([]) }
        return parts
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    Fuzz.target(Array(UnsafeBufferPointer(start: data, count: count)))
    return 0
}
