"""Every country and territory of ISO 3166-1: its emergency numbers and how numbers are dialled there. Data, no code.

Seeded from `phonenumbers` (source P), compared with a second collection (AOSP), then corrected by hand: what differs
from P, and why, stands in tests/unit/test_country_against_phonenumbers.py. How to review it: docs/countries.md.

A number belongs here when it brings police, an ambulance, the fire service or a rescue service at once. Helplines,
lines without urgency, and services behind an ordinary subscriber number do not: those are ordinary calls.
"""

#: code | name | calling codes | international prefixes | national prefix | digits of a national number | emergency
#: | test | served | screening | security desk | sources (keys of SOURCES)
#: - "served as XX" in place of the rest: a caller there is given as XX (A6).
#: - International and national prefixes, and digits: from P, of fixed and mobile numbers. International prefixes are
#:   regular expressions, separated by commas, the longest first. National prefix: "-" none; "-0" none, and numbers may
#:   begin with 0; "1?" 1 or none.
#: - Emergency: what is dialled, or dialled=sent. The first is what urn:service:sos is sent as. 9911 and 9112 and the
#:   like hold an outside-line prefix, dialled out of habit; 1911 is 911 behind the long-distance prefix.
#: - Test: 933 where it reads back number and address; it brings the fire service in Eswatini, an ambulance in Tonga.
#: - Screening (O5): "national" where a national centre answers before the PSAP. Security desk (O7): told by default.
COUNTRIES = """\
AD|Andorra|376|00|-|6,9|112 110 116 118||no|direct|no|P
AE|United Arab Emirates|971|00|0|8-9|999 998 997 112||no|direct|no|P
AF|Afghanistan|93|00|0|9|119 100 102||no|direct|no|P
AG|Antigua and Barbuda|1|011|1?|10|911 9911=911 1911=911 999||no|direct|no|P
AI|Anguilla|1|011|1?|10|911 9911=911 1911=911||no|direct|no|P
AL|Albania|355|00|0|8-9|112 127 128 129||no|direct|no|P
AM|Armenia|374|00|0|8|911 101 102 103||no|direct|no|P AOSP
AO|Angola|244|00|-|9|112 113 115||no|direct|no|P
AQ|Antarctica|672|00|-||||no|direct|no|NONE
AR|Argentina|54|00|0|10|911 100 101 107||no|direct|no|P
AS|American Samoa|served as US
AT|Austria|43|00|0|6-13|112 122 133 140 144||no|direct|no|P AT
AU|Australia|61|0011|0|9|000 106 112||no|direct|no|P
AW|Aruba|297|00|-|7|911 100||no|direct|no|P
AX|Åland Islands|358|00|0|6-10|112||no|direct|no|P
AZ|Azerbaijan|994|00|0|9|112 101 102 103||no|direct|no|P
BA|Bosnia and Herzegovina|387|00|0|8-9|122 123 124||no|direct|no|P
BB|Barbados|1|011|1?|10|911 9911=911 1911=911 211 311 511||no|direct|no|P
BD|Bangladesh|880|00|0|6-10|999 100 101 102 199||no|direct|no|P
BE|Belgium|32|00|0|8-9|112 100 101||no|direct|no|P
BF|Burkina Faso|226|00|-|8|17 18||no|direct|no|P
BG|Bulgaria|359|00|0|6-9|112 150 160 166||no|direct|no|P
BH|Bahrain|973|00|-|8|999 199||no|direct|no|P
BI|Burundi|257|00|-|8|112 113 117||no|direct|no|P
BJ|Benin|229|00|-0|10|112 114 116 117 118||no|direct|no|P
BL|Saint Barthélemy|590|00|0|9|112 15 17 18||no|direct|no|P ARCEP
BM|Bermuda|1|011|1?|10|911 9911=911 1911=911||no|direct|no|P
BN|Brunei|673|00|-|7|993 991 995||no|direct|no|P
BO|Bolivia|591|00(?!1)|0|8|110 118 119||no|direct|no|P
BQ|Caribbean Netherlands|599|00|-|7|112 911||no|direct|no|P
BR|Brazil|55|001[245],002[1-35],0031,004[13],00[56]5|0|10-11|190 192 193 128 185 112 911||no|direct|no|P AOSP
BS|Bahamas|1|011|1?|10|911 9911=911 1911=911 919||no|direct|no|P
BT|Bhutan|975|00|-|7-8|113 110 112||no|direct|no|P
BV|Bouvet Island|47|00|-||||no|direct|no|NONE
BW|Botswana|267|00|-|7-8|999 997 998 111 112 911||no|direct|no|P
BY|Belarus|375|810|80|9|112 101 102 103||no|direct|no|P
BZ|Belize|501|00|-|7|911 90 990||no|direct|no|P
CA|Canada|1|011|1?|10|911 112=911 9911=911 1911=911|933 9933|yes|national|no|CRTC GSM READBACK
CC|Cocos (Keeling) Islands|61|0011|0|9|000 112||no|direct|no|P
CD|Congo (Democratic Republic)|243|00|0|7-10|118 113 114 177 188||no|direct|no|P
CF|Central African Republic|236|00|-|8|117 118 1220||no|direct|no|P
CG|Congo|242|00|-0|9|118 117||no|direct|no|P
CH|Switzerland|41|00|0|9|112 117 118 144 1414||no|direct|no|P CH
CI|Côte d'Ivoire|225|00|-0|10|170 110 111 180 185||no|direct|no|P AOSP
CK|Cook Islands|682|00|-|5|999 996 998||no|direct|no|P
CL|Chile|56|00|-|9|133 131 132 911||no|direct|no|P
CM|Cameroon|237|00|-|9|17 18 19 13 117 118 119 113||no|direct|no|P AOSP
CN|China|86|00|0|9-11|110 119 120||no|direct|no|P
CO|Colombia|57|00[579],00414,00444,00456|-|10|123 112 119 132 156||no|direct|no|P
CR|Costa Rica|506|00|-|8|911 112||no|direct|no|P
CU|Cuba|53|119|0|6-8,10|106 104 105||no|direct|no|P
CV|Cabo Verde|238|00,0|-|7|132 130 131||no|direct|no|P
CW|Curaçao|599|00|-|7-8|112 911||no|direct|no|P
CX|Christmas Island|61|0011|0|9|000 112||no|direct|no|P
CY|Cyprus|357|00|-|8|112 199||no|direct|no|P
CZ|Czechia|420|00|-|9|112 150 155 156 158||no|direct|no|P
DE|Germany|49|00|0|5-13|112 110||no|direct|no|P
DJ|Djibouti|253|00|-|8|17 18||no|direct|no|P
DK|Denmark|45|00|-|8|112||yes|direct|no|DK EU
DM|Dominica|1|011|1?|10|911 9911=911 1911=911 333 999||no|direct|no|P
DO|Dominican Republic|1|011|1?|10|911 9911=911 1911=911 112||no|direct|no|P
DZ|Algeria|213|00|0|8-9|17 14 112 1548||no|direct|no|P AOSP
EC|Ecuador|593|00|0|8-9|911 101 102 112||no|direct|no|P
EE|Estonia|372|00|-|7-8|112 110||no|direct|no|P
EG|Egypt|20|00|0|8-10|122 123 180||no|direct|no|P
EH|Western Sahara|212|00|0|9|19 15 177 150 190||no|direct|no|P AOSP
ER|Eritrea|291|00|0|7|112 113 114 116||no|direct|no|P
ES|Spain|34|00|-|9|112 061 062 080 085 088 091 092||no|direct|no|P AOSP
ET|Ethiopia|251|00|0|9|991 911 91 92 93 939 997||no|direct|no|P
FI|Finland|358|00|0|5-10|112||no|direct|no|P
FJ|Fiji|679|00|-|7|911 917||no|direct|no|P
FK|Falkland Islands|500|00|-|5|999||no|direct|no|P
FM|Micronesia|691|00|-|7|911||no|direct|no|P
FO|Faroe Islands|298|00|-|6|112||no|direct|no|P
FR|France|33|00|0|9|112 15 17 18 191 196||no|direct|no|P ARCEP
GA|Gabon|241|00|-|7-8|1730 1300 18||no|direct|no|P
GB|United Kingdom|44|00|0|7,9-10|999 112 9999=999 9112=112||yes|direct|no|OFCOM GSM
GD|Grenada|1|011|1?|10|911 9911=911 1911=911||no|direct|no|P
GE|Georgia|995|00|0|9|112 011 022 033 111 113 122||no|direct|no|P
GF|French Guiana|594|00|0|9|112 15 17 18||no|direct|no|P EU
GG|Guernsey|44|00|0|10|112 999||no|direct|no|P
GH|Ghana|233|00|0|9|191 192 193 999||no|direct|no|P
GI|Gibraltar|350|00|-|8|112 190 199||no|direct|no|P
GL|Greenland|299|00|-|6|112||no|direct|no|P
GM|Gambia|220|00|-|7,9|117 116 118 16 17 18||no|direct|no|P
GN|Guinea|224|00|-|8-9|122 1717||no|direct|no|AOSP
GP|Guadeloupe|590|00|0|9|112 15 17 18||no|direct|no|P EU
GQ|Equatorial Guinea|240|00|-|9|113 115||no|direct|no|AOSP
GR|Greece|30|00|-|10|112 100 166 199||no|direct|no|P
GS|South Georgia|500|00|-||||no|direct|no|NONE
GT|Guatemala|502|00|-|8|110 120 123||no|direct|no|P
GU|Guam|served as US
GW|Guinea-Bissau|245|00|-|9|117 113 118||no|direct|no|P
GY|Guyana|592|001|-|7|911 912 913||no|direct|no|P
HK|Hong Kong|852|001(?![2-9][0-9]{9}$)|-|8|999 112 992||no|direct|no|P
HM|Heard and McDonald Islands|672|0011|0||||no|direct|no|NONE
HN|Honduras|504|00|-|8|911 199||no|direct|no|P AOSP
HR|Croatia|385|00|0|8-9|112 192 193 194 93 94||no|direct|no|P
HT|Haiti|509|00|-|8|114 118 115 116||no|direct|no|P AOSP
HU|Hungary|36|00|06|8-9|112 104 105 107||no|direct|no|P
ID|Indonesia|62|00[89]|0|7-12|112 110 113 118 119||no|direct|no|P
IE|Ireland|353|00|0|7-10|112 999||no|direct|no|P
IL|Israel|972|00,01[2-9]|0|8-9|100 101 102 112||no|direct|no|P
IM|Isle of Man|44|00|0|10|999||no|direct|no|P
IN|India|91|00|0|10|112 100 101 102 108 1298 2611||no|direct|no|P
IO|British Indian Ocean Territory|246|00|-|7|||no|direct|no|NONE
IQ|Iraq|964|00|0|8-10|104 100 115 122||no|direct|no|P
IR|Iran|98|00|0|10|110 115 125 112 911||no|direct|no|P
IS|Iceland|354|00|-|7,9|112||no|direct|no|P
IT|Italy|39|00|-0|6-11|112 113 115 118||no|direct|no|P
JE|Jersey|44|00|0|10|112 999||no|direct|no|P
JM|Jamaica|1|011|1?|10|119 110 112 911 9911=911 1911=911||no|direct|no|P
JO|Jordan|962|00|0|8-9|911 112 191 192 197||no|direct|no|P
JP|Japan|81|010|0|9-10|110 118 119||no|direct|no|P AOSP
KE|Kenya|254|000|0|7-9|999 112 114||no|direct|no|P
KG|Kyrgyzstan|996|00|0|9|102 101 103||no|direct|no|P
KH|Cambodia|855|00[14-9]|0|8-9|117 118 119 666||no|direct|no|P
KI|Kiribati|686|00|0|5,8|192 193 194 195 992 993 994||no|direct|no|P
KM|Comoros|269|00|-|7|17 18||no|direct|no|P
KN|Saint Kitts and Nevis|1|011|1?|10|911 9911=911 1911=911 333 999||no|direct|no|P
KP|Korea (North)|850|00|0|8,10|112 119 819||no|direct|no|P
KR|Korea (South)|82|00[125689]|0|8-10|112 119||no|direct|no|P
KW|Kuwait|965|00|-|8|112||no|direct|no|P
KY|Cayman Islands|1|011|1?|10|911 9911=911 1911=911||no|direct|no|P
KZ|Kazakhstan|7|810|8|10|112 101 102 103||no|direct|no|P
LA|Laos|856|00|0|8-10|191 190 195 1190 1191 1195||no|direct|no|P AOSP
LB|Lebanon|961|00|0|7-8|112 140 175 999||no|direct|no|P
LC|Saint Lucia|1|011|1?|10|911 9911=911 1911=911 999||no|direct|no|P
LI|Liechtenstein|423|00|-|7,9|112 117 118 144||no|direct|no|P
LK|Sri Lanka|94|00|0|9|119 110 112 116 118 1990||no|direct|no|P LK
LR|Liberia|231|00|0|7-9|911 355||no|direct|no|P
LS|Lesotho|266|00|-|8|112 115 117 121 122 123||no|direct|no|P AOSP
LT|Lithuania|370|00|0|8|112 101 102 103 01 02 03 011 022 033||no|direct|no|P
LU|Luxembourg|352|00|-|5-11|112 113||no|direct|no|P
LV|Latvia|371|00|-|8|112 01 02 03 110 113||no|direct|no|P
LY|Libya|218|00|0|9|1515 190 191 193||no|direct|no|P AOSP
MA|Morocco|212|00|0|9|19 15 177 150 190||no|direct|no|P AOSP
MC|Monaco|377|00|0?|8-9|112 15 17 18||no|direct|no|P
MD|Moldova|373|00|0|8|112 901 902 903||no|direct|no|P
ME|Montenegro|382|00|0|8|112 122 123 124||no|direct|no|P
MF|Saint Martin (French part)|590|00|0|9|112 15 17 18||no|direct|no|P EU
MG|Madagascar|261|00|0|9|117 118 17 18||no|direct|no|P
MH|Marshall Islands|692|011|1?|7|911||no|direct|no|P
MK|North Macedonia|389|00|0|8|112 192 193 194||no|direct|no|P
ML|Mali|223|00|-|8|17 15 18||no|direct|no|P
MM|Myanmar|95|00|0|6-10|199 191 192||no|direct|no|P AOSP
MN|Mongolia|976|001|0|8-10|102 100 101 103 105||no|direct|no|P
MO|Macau|853|00|-|8|999||no|direct|no|P
MP|Northern Mariana Islands|served as US
MQ|Martinique|596|00|0|9|112 15 17 18||no|direct|no|P
MR|Mauritania|222|00|-|8|17 18 117 118||no|direct|no|P AOSP
MS|Montserrat|1|011|1?|10|911 9911=911 1911=911 999||no|direct|no|P
MT|Malta|356|00|-|8|112||no|direct|no|P
MU|Mauritius|230|00,020|-|7-8|999 114 115 995||no|direct|no|P
MV|Maldives|960|00|-|7|119 102 118||no|direct|no|P
MW|Malawi|265|00|0|7,9|997 199 998 999||no|direct|no|P
MX|Mexico|52|00|-|10|911 060 065 066 068 080||no|direct|no|P
MY|Malaysia|60|00|0|8-10|999 112||no|direct|no|P
MZ|Mozambique|258|00|-|8-9|119 117 197 198||no|direct|no|P
NA|Namibia|264|00|0|8-9|10111||no|direct|no|P
NC|New Caledonia|687|00|-|6|17 15 16 18||no|direct|no|P
NE|Niger|227|00|-|8|17 15 18 118||no|direct|no|P
NF|Norfolk Island|672|00|-|6|911 955 977||no|direct|no|P
NG|Nigeria|234|009|0|10|112 199||no|direct|no|P NG
NI|Nicaragua|505|00|-|8|118 115 120 128||no|direct|no|P
NL|Netherlands|31|00|0|9|112 911||no|direct|no|P
NO|Norway|47|00|-|8|112 110 113||no|direct|no|P
NP|Nepal|977|00|0|8,10|100 101 102 103 112||no|direct|no|P
NR|Nauru|674|00|-|7|110 111 112||no|direct|no|P
NU|Niue|683|00|-|4,7|999||no|direct|no|P
NZ|New Zealand|64|00|0|8-10|111||no|direct|no|P
OM|Oman|968|00|-|8|9999 1444||no|direct|no|P
PA|Panama|507|00|-|7-8|911 104||no|direct|no|P AOSP
PE|Peru|51|00|0|8-9|105 106 116 117||no|direct|no|P PE
PF|French Polynesia|689|00|-|8|17 15 18||no|direct|no|P
PG|Papua New Guinea|675|00|-|7-8|112 000 110 111||no|direct|no|P PG
PH|Philippines|63|00|0|8-10|911 112 117||no|direct|no|P
PK|Pakistan|92|00|0|9-10|15 16 115 112 1122||no|direct|no|P
PL|Poland|48|00|-|9|112 997 998 999||no|direct|no|P
PM|Saint Pierre and Miquelon|508|00|0|6,9|112 15 17 18||no|direct|no|P ARCEP
PN|Pitcairn|64|00|0||||no|direct|no|NONE
PR|Puerto Rico|1|011|1?|10|911 112=911 9911=911 1911=911|933 9933|yes|direct|yes|FCC KARI GSM READBACK
PS|Palestine|970|00|0|8-9|100 101 102||no|direct|no|P
PT|Portugal|351|00|-|9|112 115||no|direct|no|P
PW|Palau|680|011|-|7|911||no|direct|no|P
PY|Paraguay|595|00|0|7-9|911 128||no|direct|no|P
QA|Qatar|974|00|-|8|999||no|direct|no|P
RE|Réunion|262|00|0|9|112 15 17 18||no|direct|no|P
RO|Romania|40|00|0|6,9|112||no|direct|no|P
RS|Serbia|381|00|0|7-10|112 192 193 194 92 93 94||no|direct|no|P AOSP
RU|Russia|7|810|8|10|112 101 102 103 01 02 03||no|direct|no|P
RW|Rwanda|250|00|0|8-9|112 111||no|direct|no|P
SA|Saudi Arabia|966|00|0|9|911 999 997 998 112||no|direct|no|P AOSP
SB|Solomon Islands|677|00|-|5,7|999 911 988||no|direct|no|P AOSP
SC|Seychelles|248|00|-|7|999||no|direct|no|P
SD|Sudan|249|00|0|9|999 333||no|direct|no|P AOSP
SE|Sweden|46|00|0|7-9|112 90000||no|direct|no|P
SG|Singapore|65|001,002,008|-|8|999 993 995||no|direct|no|P
SH|Saint Helena, Ascension|290,247|00|-|4-5|999 911||no|direct|no|P
SI|Slovenia|386|00|0|8|112 113||no|direct|no|P
SJ|Svalbard and Jan Mayen|47|00|-|8|112 110 113||no|direct|no|P
SK|Slovakia|421|00|0|6-7,9|112 150 155 158||no|direct|no|P
SL|Sierra Leone|232|00|0|8|999 019||no|direct|no|P
SM|San Marino|378|00|-0|8,10|113 115 118||no|direct|no|P
SN|Senegal|221|00|-|9|17 18 1515||no|direct|no|P SN
SO|Somalia|252|00|0|6-9|888 555 999||no|direct|no|P
SR|Suriname|597|00|-|6-7|115||no|direct|no|P
SS|South Sudan|211|00|0|9|999||no|direct|no|P
ST|São Tomé and Príncipe|239|00|-|7|112||no|direct|no|P
SV|El Salvador|503|00|-|8|911 913||no|direct|no|P
SX|Sint Maarten (Dutch part)|1|011|1?|10|911 9911=911 1911=911 919||no|direct|no|P SX
SY|Syria|963|00|0|8-9|112 110 113||no|direct|no|P
SZ|Eswatini|268|00|-|8|999 933 977||no|direct|no|P SZ
TC|Turks and Caicos Islands|1|011|1?|10|911 9911=911 1911=911 999||no|direct|no|P
TD|Chad|235|00|-|8|17 18||no|direct|no|P
TF|French Southern Territories|262|00|0||||no|direct|no|NONE
TG|Togo|228|00|-|8|117 118 171 172 177||no|direct|no|P
TH|Thailand|66|00[1-9]|0|8-9|191 199 1669||no|direct|no|P
TJ|Tajikistan|992|810|-|9|112 101 102 103||no|direct|no|P
TK|Tokelau|690|00|-|4-7|111||no|direct|no|AOSP
TL|Timor-Leste|670|00|-|7-8|112 115 110||no|direct|no|P AOSP
TM|Turkmenistan|993|810|8|8|02 01 03 001 002 003||no|direct|no|P AOSP
TN|Tunisia|216|00|-|8|197 190 198||no|direct|no|P
TO|Tonga|676|00|-|5,7|911 922 933 999||no|direct|no|P
TR|Türkiye|90|00|0|10|112 110 155 156 158 177||no|direct|no|P TR
TT|Trinidad and Tobago|1|011|1?|10|999 990 811||no|direct|no|P TT
TV|Tuvalu|688|00|-|5-7|911||no|direct|no|P
TW|Taiwan|886|00[25-79],019|0|8-9|110 119 112 118||no|direct|no|P TW
TZ|Tanzania|255|00[056]|0|9|112 110 111 114 115 999||no|direct|no|P
UA|Ukraine|380|00|0|9|112 101 102 103||no|direct|no|P
UG|Uganda|256|00[057]|0|9|999 112||no|direct|no|P UG
UM|US Minor Outlying Islands|1|011|1?|10|911 112=911 9911=911 1911=911||no|direct|no|FCC GSM
US|United States|1|011|1?|10|911 112=911 9911=911 1911=911|933 9933|yes|direct|yes|FCC KARI GSM READBACK
UY|Uruguay|598|00|0|8|911 128 104 105 106||no|direct|no|P AOSP
UZ|Uzbekistan|998|00|-|9|102 101 103 01 02 03 001 002 003 050||no|direct|no|P AOSP
VA|Vatican City|39|00|-0|6-11|112 113 115 118||no|direct|no|P
VC|Saint Vincent|1|011|1?|10|911 9911=911 1911=911 999||no|direct|no|P
VE|Venezuela|58|00|0|10|911 112 171||no|direct|no|P
VG|Virgin Islands (British)|1|011|1?|10|911 9911=911 1911=911 999||no|direct|no|P
VI|Virgin Islands (US)|served as US
VN|Vietnam|84|00|0|9-10|113 114 115||no|direct|no|P
VU|Vanuatu|678|00|-|5,7|111 112 113||no|direct|no|P AOSP
WF|Wallis and Futuna|681|00|-|6|17 15 18||no|direct|no|P
WS|Samoa|685|0|-|5-7,10|911 994 995 996 999||no|direct|no|P
XK|Kosovo|383|00|0|8-9|112 192 193 194||no|direct|no|P
YE|Yemen|967|00|0|7-9|199 191 194 195||no|direct|no|P
YT|Mayotte|262|00|0|9|112 15 17 18||no|direct|no|P ARCEP
ZA|South Africa|27|00|0|5-9|10111 10177 112||no|direct|no|P
ZM|Zambia|260|00|0|9|112 991 993 999||no|direct|no|P
ZW|Zimbabwe|263|00|0|9|112 993 994 995 999||no|direct|no|P
"""

#: Area codes of the North American Numbering Plan by country, as P knows them; US with its territories (A6). Those that
#: are nobody's (toll-free, personal, 900, not yet assigned) are not here: such a number may be of any of the countries.
AREA_CODES = """\
AG 268
AI 264
BB 246
BM 441
BS 242
CA 204 226 236 249 250 257 263 273 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438 450 468 474 506 514
CA 519 548 579 581 584 587 604 613 639 647 672 683 705 709 742 753 778 780 782 807 819 825 867 873 879 902 905 942
DM 767
DO 809 829 849
GD 473
JM 658 876
KN 869
KY 345
LC 758
MS 664
PR 787 939
SX 721
TC 649
TT 868
US 201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 223 224 225 227 228 229 231 234 235 239
US 240 248 251 252 253 254 256 260 262 267 269 270 272 274 276 279 281 283 301 302 303 304 305 307 308 309 310 312
US 313 314 315 316 317 318 319 320 321 323 324 325 326 327 329 330 331 332 334 336 337 339 340 341 346 347 350 351
US 352 353 360 361 363 364 369 380 385 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424 425
US 430 432 434 435 440 442 443 445 447 448 458 463 464 469 470 472 475 478 479 480 484 501 502 503 504 505 507 508
US 509 510 512 513 515 516 517 518 520 530 531 534 539 540 541 551 557 559 561 562 563 564 567 570 571 572 573 574
US 575 580 582 585 586 601 602 603 605 606 607 608 609 610 612 614 615 616 617 618 619 620 623 626 628 629 630 631
US 636 640 641 645 646 650 651 656 657 659 660 661 662 667 669 670 671 678 680 681 682 684 686 689 701 702 703 704
US 706 707 708 712 713 714 715 716 717 718 719 720 724 725 726 727 728 730 731 732 734 737 738 740 743 747 748 754
US 757 760 762 763 765 769 770 771 772 773 774 775 779 781 785 786 801 802 803 804 805 806 808 810 812 813 814 815
US 816 817 818 820 821 826 828 830 831 832 835 838 839 840 843 845 847 848 850 854 856 857 858 859 860 862 863 864
US 865 870 872 878 901 903 904 906 907 908 909 910 912 913 914 915 916 917 918 919 920 925 928 929 930 931 934 936
US 937 938 940 941 943 945 947 948 949 951 952 954 956 959 970 971 972 973 975 978 979 980 983 984 985 986 989
VC 784
VG 284
"""

#: Where a line comes from. What was taken from P and AOSP, and under which licence: docs/countries.md.
SOURCES = {
    "P": "phonenumbers 9.0.43 (PyPI; Google's libphonenumber in Python; Apache-2.0): short-number and region metadata",
    "AOSP": "Android Open Source Project, packages/services/Telephony, ecc/input/eccdata.txt of 2023-12-08"
    " (298376e4d807; Apache-2.0): the number, with the service that it brings",
    "NONE": "no permanent population and no emergency number of its own",
    "FCC": "47 U.S.C. 251(e)(3), 153(58) and 47 CFR 9.4: 911 throughout the United States, territories and possessions",
    "KARI": "47 CFR 9.16(b)(1), (2) (Kari's Law): 911 without a prefix, and notification of a desk at the building",
    "GSM": "3GPP TS 22.101 section 10.1: every phone takes 112 and 911 for emergency numbers, wherever it is from",
    "READBACK": "IntelePeer, E911 Dynamic Location Routing Testing Guide: 933 reads back number and address",
    "CRTC": "Telecom Decision CRTC 2005-21: 911 from nomadic VoIP is answered by an operator, who transfers it",
    "OFCOM": "Ofcom, The National Telephone Numbering Plan, and General Condition A3: 999 and 112",
    "DK": "The Danish numbering plan (Bekendtgørelse om den samlede danske nummerplan): 112; 114 is not urgent",
    "EU": "Directive (EU) 2018/1972 article 109: 112 in every member state; TFEU articles 349, 355: outermost regions",
    "ARCEP": "Arcep, list of emergency numbers (decision 02-1179 as amended; 191 air and 196 sea rescue by 2013-1405)",
    "AT": "RTR, Notrufe (KEM-V 2009): 140 is mountain rescue; 128 is gas, 141, 142 and 147 are advice",
    "CH": "Alpine Rescue Switzerland, Alarmierung und Aufgebot: 1414 is the alarm number of Rega",
    "LK": "1990 Suwa Seriya Foundation Act, No. 18 of 2018: the national ambulance service, by its number",
    "NG": "Nigerian Communications Commission: 112 is the national emergency number, toll-free on every network",
    "PE": "Ministerio de Salud: SAMU, the public ambulance service, on 106",
    "PG": "NICTA and Royal PNG Constabulary: 112 for the police, commissioned from 2023 on",
    "SN": "Ministère de la Santé, SAMU national: 1515 beside 17 and 18",
    "SX": "Sint Maarten Police Force, notice of 2020-03-20: 911; Fire Department: 911 works, 919 is faster",
    "SZ": "sent.dm, Eswatini Phone Numbers: 999 police, 933 fire, 977 ambulance; AOSP has 933 as well",
    "TR": "Sinop İl Sağlık Müdürlüğü, 2021-11-10: 110, 112, 155, 156, 158 and 177 all reach the 112 centres",
    "TT": "UNHCR Trinidad and Tobago: 999 police, 990 fire, 990 or 811 ambulance",
    "TW": "Coast Guard Administration: 118 for disasters at sea",
    "UG": "Uganda Police Force: 999 from landlines, 112 from mobile phones",
}
