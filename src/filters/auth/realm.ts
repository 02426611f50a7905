/** The realm of a challenge (RFC 9110 section 11.5): a text that needs no escapes in a quoted string. */
import type { SettingType } from '../../config/setting.ts';

export const realm: SettingType<string> = {
  allowed: 'printable ASCII without " and \\',
  parse(value) {
    if (!/^[\x20-\x7e]+$/.test(value) || /["\\]/.test(value)) throw new Error(`"${value}" cannot be a realm`);
    return value;
  },
};
