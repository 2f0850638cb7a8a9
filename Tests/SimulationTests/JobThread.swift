import Foundation

/// A thread on which Swift's tasks run one at a time, in the order in which they became ready.
///
/// Whatever is made ready from this thread stays on it: tasks, their children, actors, free tasks and continuations alike. So nothing
/// in a simulation runs beside anything else, the same seed takes the same course, and it is known when all that is left waits. The
/// Swift runtime asks a hook where a job is to go (`swift_task_enqueueGlobal_hook`, which Point-Free's `withMainSerialExecutor` uses
/// too); other threads' jobs go where they always went.
final class JobThread {
    private typealias Place = @convention(thin) (UnownedJob) -> Void
    private typealias Hook = @convention(thin) (UnownedJob, Place) -> Void

    private var jobs: [UnownedJob] = []
    private var next = 0
    private(set) var count = 0

    /// Runs `body` on a thread of its own, which ends with it.
    ///
    /// - Parameters:
    ///   - jobsMax: more are taken for a task that never rests.
    ///   - idle: called when nothing is ready; false when nothing ever will be.
    /// - Returns: nil when nothing was ready any more before `body` came to its end, or too much.
    static func run<R: Sendable>(
        jobsMax: Int, idle: @escaping @Sendable () -> Bool, _ body: @escaping @Sendable () async -> R
    ) async -> R? {
        _ = installed
        return await withCheckedContinuation { continuation in
            let thread = Thread {
                let own = JobThread()
                pthread_setspecific(key, Unmanaged.passUnretained(own).toOpaque())
                let result = Outcome<R>()
                Task { result.value = await body() }
                while own.count < jobsMax, own.runNext() || idle() {}
                // The continuation is another thread's.
                pthread_setspecific(key, nil)
                continuation.resume(returning: result.value)
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    /// Used on one thread only.
    private final class Outcome<R>: @unchecked Sendable { var value: R? }

    private func runNext() -> Bool {
        guard next < jobs.count else { return false }
        let job = jobs[next]
        next += 1
        count += 1
        if next == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            next = 0
        }
        runJob(job, unsafeBitCast((0, 0), to: UnownedSerialExecutor.self))
        return true
    }

    // MARK: The hook

    private static let key = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    private static var current: JobThread? {
        pthread_getspecific(key).map { Unmanaged.fromOpaque($0).takeUnretainedValue() }
    }

    private static let installed: Void = {
        let runtime = dlopen(nil, RTLD_NOW)
        func set<T>(_ name: String, _ hook: T) {
            guard let symbol = dlsym(runtime, name) else { preconditionFailure("the Swift runtime has no \(name)") }
            symbol.assumingMemoryBound(to: T?.self).pointee = hook
        }
        let hook: Hook = { job, place in
            if let current { current.jobs.append(job) } else { place(job) }
        }
        set("swift_task_enqueueGlobal_hook", hook)
    }()
}

/// What the global executor calls for each of its jobs.
@_silgen_name("swift_job_run") private func runJob(_ job: UnownedJob, _ executor: UnownedSerialExecutor)
