<?php

// Stand-ins for the classes and functions of Moodle that the provider plugin uses, written from what it expects of them.
// SHAPE, defined by the script that includes this file, is '5' (providers are instances) or '4.5' (one for the site).

declare(strict_types=1);

namespace {
    const MOODLE_INTERNAL = true;
    const PARAM_TEXT = 'text';
    const DEBUG_DEVELOPER = 32767;
    const DAYSECS = 86400;
    const PLUGIN = __DIR__ . '/../../../moodle/aiprovider_sidecar';
    defined('AJAX_SCRIPT') || define('AJAX_SCRIPT', false);

    $CFG = (object) ['siteidentifier' => 'site-1', 'libdir' => __DIR__ . '/lib', 'lang' => 'en'];
    $SITE_CONFIG = [];
    $DEBUGGED = [];

    spl_autoload_register(static function (string $class): void {
        if (str_starts_with($class, 'aiprovider_sidecar\\')) {
            $file = PLUGIN . '/classes/' . strtr(substr($class, 19), '\\', '/') . '.php';
            is_file($file) && require $file;
        }
    });

    if (!function_exists('mb_substr')) { // Moodle requires the extension; a machine for tests may be without
        function mb_substr(string $text, int $start, int $length): string
        {
            return iconv_substr($text, $start, $length, 'UTF-8');
        }
    }

    function get_config(string $component): object
    {
        return (object) $GLOBALS['SITE_CONFIG'];
    }

    function get_string(string $id, string $component, mixed $a = null): string
    {
        $string = [];
        $language = $GLOBALS['CFG']->lang;
        foreach (['en', $language] as $one) { // a language without a file of its own reads English
            is_file($file = PLUGIN . "/lang/{$one}/aiprovider_sidecar.php") && require $file;
        }
        if ($component !== 'aiprovider_sidecar' || !isset($string[$id])) {
            throw new Exception("no string {$id} of {$component}");
        }
        return str_replace('{$a}', (string) $a, $string[$id]);
    }

    function clean_param(string $value, string $type): string
    {
        return strip_tags($value);
    }

    function s(string $text): string
    {
        return htmlspecialchars($text, ENT_QUOTES);
    }

    function debugging(string $message, int $level): void
    {
        $GLOBALS['DEBUGGED'][] = $message;
    }
}

namespace core {
    final class di
    {
        private static array $made = [];

        public static function set(string $class, object $value): void
        {
            self::$made[$class] = $value;
        }

        public static function get(string $class): object
        {
            return self::$made[$class] ??= new $class();
        }
    }
}

namespace core\session {
    final class manager
    {
        public static int $closed = 0;

        public static function write_close(): void
        {
            self::$closed++;
            session_status() === PHP_SESSION_ACTIVE && session_write_close();
        }
    }
}

namespace core\files {
    /** Blocks loopback, and every port but 80 and 443, as Moodle does by default. */
    class curl_security_helper
    {
        public function url_is_blocked($urlstring, $notused = null)
        {
            $parts = parse_url((string) $urlstring);
            $port = $parts['port'] ?? 80;
            return str_starts_with($parts['host'] ?? '127.', '127.') || !in_array($port, [80, 443], true);
        }
    }
}

namespace GuzzleHttp\Exception {
    interface GuzzleException extends \Throwable
    {
    }

    class RequestException extends \RuntimeException implements GuzzleException
    {
    }

    class ConnectException extends \RuntimeException implements GuzzleException
    {
        public function __construct(string $message, private readonly array $context)
        {
            parent::__construct($message);
        }

        public function getHandlerContext(): array
        {
            return $this->context;
        }
    }
}

namespace core_ai {
    if (SHAPE === '5') {
        class manager
        {
            public function create_provider_instance(): void
            {
            }
        }

        abstract class provider
        {
            public function __construct(public readonly array $config, public readonly ?int $id = null)
            {
            }

            abstract public static function get_action_list(): array;

            public function is_request_allowed(aiactions\base $action): array|bool
            {
                return true;
            }

            public function is_provider_configured(): bool
            {
                return false;
            }

            public function generate_userid(string $userid): string
            {
                return hash('sha256', $GLOBALS['CFG']->siteidentifier . $userid);
            }
        }
    } else {
        class manager
        {
        }

        abstract class provider
        {
            abstract public function get_action_list(): array;

            abstract public function is_request_allowed(aiactions\base $action): array|bool;

            public function is_provider_configured(): bool
            {
                return false;
            }
        }
    }

    class rate_limiter
    {
        public function check_user_rate_limit(string $component, int $ratelimit, int $userid): bool
        {
            return $ratelimit > 0;
        }

        public function check_global_rate_limit(string $component, int $ratelimit): bool
        {
            return $ratelimit > 0;
        }
    }

    abstract class process_base
    {
        public function __construct(protected readonly provider $provider, protected readonly aiactions\base $action)
        {
        }

        /** What core makes of the array; a failure without a code, a title or a sentence is an exception there. */
        public function process(): array
        {
            $allowed = $this->provider->is_request_allowed($this->action);
            $answer = $allowed === true ? $this->query_ai_api() : $allowed;
            if (!$answer['success'] && !($answer['errorcode'] && $answer['error'] && $answer['errormessage'])) {
                throw new \Exception('a failure needs a code, a title and a sentence');
            }
            return $answer;
        }

        abstract protected function query_ai_api(): array;
    }
}

namespace core_ai\aiactions {
    abstract class base
    {
        public function __construct(protected int $contextid, protected int $userid, protected string $prompttext)
        {
        }

        public function get_configuration(string $name): mixed
        {
            return $this->$name;
        }

        public static function get_basename(): string
        {
            return basename(strtr(static::class, '\\', '/'));
        }

        public static function get_system_instruction(): string
        {
            return 'Instruction of ' . static::get_basename();
        }
    }

    class generate_text extends base
    {
    }

    class summarise_text extends base
    {
    }

    if (SHAPE === '5') {
        class explain_text extends base
        {
        }
    }
}
