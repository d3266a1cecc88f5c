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

namespace aiprovider_sidecar;

use aiprovider_sidecar\local\answer;
use aiprovider_sidecar\local\stored_summary;

/**
 * The action summarise_text. A page that was summarised at night costs no call.
 *
 * @package    aiprovider_sidecar
 * @copyright  2026 The openai-moodle-sidecar authors
 * @license    https://www.gnu.org/copyleft/gpl.html GNU GPL v3 or later
 */
class process_summarise_text extends abstract_processor {
    #[\Override]
    protected function stored_answer(): ?array {
        $summary = stored_summary::find(
            $this->provider->get_sidecar_settings(),
            (int) $this->action->get_configuration('contextid'),
            (string) $this->action->get_configuration('prompttext'),
            (int) $this->action->get_configuration('userid'),
        );
        return $summary === null ? null : answer::success($summary);
    }
}
