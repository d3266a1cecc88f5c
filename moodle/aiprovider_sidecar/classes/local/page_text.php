<?php
// This file is part of Moodle - https://moodle.org/
//
// Moodle is free software: you can redistribute it and/or modify
// it under the terms of the GNU General Public License as published by
// the Free Software Foundation, either version 3 of the License, or
// (at your option) any later version.
//
// Moodle is distributed in the hope that it will be useful,
// but WITHOUT ANY WARRANTY; without even the implied warranty of
// MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
// GNU General Public License for more details.
//
// You should have received a copy of the GNU General Public License
// along with Moodle.  If not, see <https://www.gnu.org/licenses/>.

namespace aiprovider_sidecar\local;

/**
 * The text of a page, as the placement of Moodle finds it in the browser, and whether a text from there is of that page.
 *
 * The placement sends the visible text of the page's main region: the text of the page between headings, buttons and
 * dates, with the white space of the browser. So texts are compared by their letters and digits, a paragraph at a time.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
final class page_text {
    /** @var float The share of the page's text that must be in the text from the browser: formulas are drawn there. */
    private const SHARE = 0.9;

    /** @var int Characters that the text from the browser may have beyond the page's: headings, buttons, a description. */
    private const MORE = 1500;

    /** @var string Tags that begin a new paragraph. */
    private const BREAKS = '~<(?:/?(?:p|div|h[1-6]|li|[uo]l|t[rdh]|table|blockquote|pre|section|d[td]|figcaption)|br|hr)\b[^>]*>~i';

    /** @var string[] The paragraphs, each with its letters and digits alone. */
    private readonly array $keys;

    /** @var string The text. */
    public readonly string $text;

    /** @var string SHA-256 of the letters and digits. */
    public readonly string $hash;

    /**
     * Constructor.
     *
     * @param string $html The page's content as it is shown.
     */
    public function __construct(string $html) {
        $html = preg_replace('~<(script|style|template|noscript)\b.*?</\1\s*>|<!--.*?-->~is', '', $html) ?? $html;
        $html = preg_replace(self::BREAKS, "\n", preg_replace('~\s+~u', ' ', $html) ?? $html);
        $text = html_entity_decode(strip_tags($html), ENT_QUOTES | ENT_HTML5, 'UTF-8');
        $paragraphs = array_filter(array_map('trim', explode("\n", $text)), static fn(string $one): bool => $one !== '');
        $this->text = implode("\n", $paragraphs);
        $this->keys = array_values(array_filter(array_map([self::class, 'key'], $paragraphs)));
        $this->hash = hash('sha256', implode('', $this->keys));
    }

    /**
     * Return the text of a page.
     *
     * @param \stdClass $page A row of the table page.
     * @param \context_module $context The page's.
     * @return self
     */
    public static function of_page(\stdClass $page, \context_module $context): self {
        global $CFG;
        require_once("{$CFG->libdir}/filelib.php");
        $content = file_rewrite_pluginfile_urls(
            $page->content,
            'pluginfile.php',
            $context->id,
            'mod_page',
            'content',
            $page->revision,
        );
        $options = ['noclean' => true, 'overflowdiv' => true, 'context' => $context];
        return new self(format_text($content, $page->contentformat, $options));
    }

    /**
     * Return whether a text from the browser is the text of this page, and of little more.
     *
     * @param string $prompt
     * @return bool
     */
    public function is_in(string $prompt): bool {
        $key = self::key($prompt);
        $all = array_sum(array_map('strlen', $this->keys));
        if ($all === 0 || strlen($key) > 1.5 * $all + self::MORE) {
            return false;
        }
        $found = 0;
        foreach ($this->keys as $one) {
            if (str_contains($key, $one)) {
                $found += strlen($one);
            }
        }
        return $found >= self::SHARE * $all;
    }

    /**
     * Return the letters and digits of a text, in lower case: the browser applies the page's style to capitals.
     *
     * @param string $text
     * @return string
     */
    private static function key(string $text): string {
        return preg_replace('~[^\p{L}\p{N}]+~u', '', \core_text::strtolower($text)) ?? '';
    }
}
