import { ASTRO } from './support/catalogue.ts';
import { testApplication } from './support/suite.ts';

testApplication(ASTRO);
